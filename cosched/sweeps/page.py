"""One HTML file of a sweep, to look at in a browser: extra ``page``. Nothing in it is fetched from anywhere.

What others named, overrides above all, reaches the browser as data, and never as markup.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosched import require
from cosched.schedules.durations import Event
from cosched.schedules.plotting import jumps
from cosched.sweeps.curves import Curve
from cosched.sweeps.design import Line, few, is_score, panels
from cosched.sweeps.jobs import told_apart, words
from cosched.sweeps.line import branches_at
from cosched.sweeps.pictures import Page, dated, exponential
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import plain

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A job, as the page shows it.

    Attributes:
        number: its number in the sweep.
        overrides: its overrides by key.
        command: what runs it alone; empty: that is not known.
        curves: its schedules over its run.
        groups: by path what a relative one multiplies in each group, as far as that is known.
        score: what it returned; None: nothing, or it has failed.
        value: the same in words, ``failed`` or ``none`` where there is no score.
        rank: from 1, the best; None: it has none, or nobody knows which value is the best.
        notes: findings and errors, each in a line.
    """

    number: int
    overrides: Mapping[str, str]
    command: str = ""
    curves: Sequence[Curve] = ()
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    score: float | None = None
    value: str = ""
    rank: int | None = None
    notes: Sequence[str] = field(default_factory=list)


def write_page(path: Path, jobs: Sequence[Shown], page: Page | None = None) -> Path:
    """Write the curves of ``jobs`` and the table of them into one HTML file, and return it.

    Curves name their job when the pointer is over them, and are alone after a click; axes are linear or logarithmic,
    in iterations or epochs; brushes on the swept keys filter curves and table; the table sorts by each column.
    """
    require("the page of a sweep", "page", "plotly")
    from plotly.offline import get_plotlyjs

    page = page or Page()
    lines = {id(c): Line(curve=c, label="", groups=job.groups.get(c.path, {})) for job in jobs for c in job.curves}
    found = panels(lines.values())
    several = len({panel.path for panel in found}) > 1
    called = told_apart((job.overrides for job in jobs), [line.curve for line in lines.values()])
    drawn: dict[int, list[dict[str, Any]]] = {}  # by curve
    for i, group in enumerate(found.values()):
        for line, factor, groups in few(group):
            drawn.setdefault(id(line.curve), []).append({"panel": i, "factor": factor, "groups": plain(groups)})
    events: dict[str, int] = {}  # most curves have the same ones
    data = {
        "title": plain(dated(page.title)),
        "note": plain(page.note),
        "epochLength": page.epoch_length,
        "maximize": page.maximize,
        "keys": [{"key": key, "name": plain(name)} for key, name in called.items()],
        "panels": [
            {
                "name": plain(f"{panel.path}: {panel.name}" if several else panel.name),
                "value": plain(f"{panel.param_name}{' times' * (panel.relative and not panel.of_groups)}"),
                "epochs": panel.event is Event.EPOCH_STARTED,
            }
            for panel in found
        ],
        "log": page.log if page.log is not None else any(exponential(c.schedule) for job in jobs for c in job.curves),
        "jobs": [
            {
                "number": job.number,
                "overrides": {key: plain(value) for key, value in job.overrides.items()},
                "said": [plain(word) for word in words(job.overrides, called)],
                "command": plain(job.command),
                "score": job.score if is_score(job.score) else None,
                "value": job.value or ("" if job.score is None else f"{job.score:.6g}"),
                "rank": job.rank,
                "notes": [plain(note) for note in job.notes],
                "curves": [{"drawn": drawn.get(id(c), []), **_points(c, events)} for c in job.curves],
            }
            for job in jobs
        ],
        "events": list(events),  # the last: it is full once all curves are there
    }
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")  # no text may end the script in which it stands
    html = TEMPLATE.read_text(encoding="utf-8")
    for name, part in (("plotly", get_plotlyjs()), ("data", text)):
        before, after = html.split(f"/*{name}*/")
        html = f"{before}{part}{after}"
    path.write_text(html, encoding="utf-8")
    return path


def _points(curve: Curve, events: dict[str, int]) -> dict[str, Any]:
    """The values, which of all ``events`` they are at, and where they jump; float32 is as fine as a screen."""
    restarts = first_restarts(curve.schedule, curve.num_events, 1000)
    steps = np.diff(curve.events, prepend=0)
    text = _base64(steps, "<u2" if steps.max() < 2**16 else "<f8")
    return {
        "at": branches_at(curve),
        "events": events.setdefault(text, len(events)),
        "values": _base64(curve.values, "<f4"),
        "jumps": jumps(curve.events, curve.values, restarts).tolist(),
    }


def _base64(array: np.ndarray[Any, Any], kind: str) -> str:
    """The array as text, after the ``kind`` of its numbers."""
    return kind + base64.b64encode(array.astype(kind).tobytes()).decode()
