"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure.

One design for a preview, a run and a report: events are counted from 0, epochs stand on top where they are known, a
restart is a jump. What others named, overrides and parameters, is shown as text: dollars make no formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cosched.schedules.annealing import ExponentialAnnealing
from cosched.schedules.durations import Event
from cosched.schedules.plotting import line
from cosched.sweeps.curves import Curve
from cosched.sweeps.design import (
    FEW,
    GREY,
    PALETTE,
    Design,
    Line,
    Look,
    Style,
    by_score,
    designed,
    is_number,
    is_score,
    look,
    ordered,
    scores,
)
from cosched.sweeps.jobs import differing
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import plain

Heat = Any
Curves = dict[str, list[list[float]]]  # name -> for each iteration, a value for each line

COLUMNS = 3  # small multiples beside each other
LABEL = 60  # letters of a label that are shown
SENTENCE = 160  # of a title, or a note


@dataclass(frozen=True, kw_only=True)
class Page:
    """What stands around the curves.

    Attributes:
        title: the app, the job or sweep, and the date.
        epoch_length: iterations in an epoch, where that is known.
        note: what is assumed, as the length of the run.
        maximize: whether the greatest score is the best; None: not known.
        log: whether the axes of values are logarithmic; None: where a curve is exponential.
    """

    title: str = ""
    epoch_length: int | None = None
    note: str = ""
    maximize: bool | None = None
    log: bool | None = None


def draw_applied(
    path: Path,
    declared: Curves,
    applied: Curves,
    iteration: int,
    epoch_length: int,
    restarts: Mapping[str, Sequence[int]] | None = None,
    title: str = "",
) -> None:
    """Save one panel per declared name: its value at every iteration, and on top of it what was ``applied``.

    ``iteration`` is how many there have been, and an epoch has ``epoch_length`` of them; ``restarts`` are the
    iterations, from 0, at which a cycle begins; ``path`` is the file.
    """
    figure = _figure(9, 1 + 2.6 * len(declared), title)
    for axes, (name, values) in zip(figure.subplots(len(declared), squeeze=False)[:, 0], declared.items(), strict=True):
        events = np.arange(iteration - len(values), iteration)
        begun = (restarts or {}).get(name, ())
        wide = 5 if len(values[0]) == 1 else 2.5
        for column, own in zip(np.array(values).T, np.array(applied[name]).T, strict=True):
            below = line(axes, events, column, begun, color="#56B4E9", linewidth=wide, solid_capstyle="round")
            above = line(axes, events, own, begun, color="#202020", linewidth=1)
        _finish(axes, Event.ITERATION_STARTED, _text(name), epoch_length, iteration)
    figure.legend([below, above], ["declared", "applied"], loc="outside upper right", ncols=2, frameon=False)
    _save(figure, path)


def draw_curves(
    path: Path,
    lines: Sequence[Line],
    page: Page | None = None,
    results: Sequence[tuple[Mapping[str, str], float | None]] = (),
) -> list[Path]:
    """Save the curves, one panel per schedule, as PNG and SVG, and return the files.

    They are coloured by their scores where there are some, or by the keys of their overrides. ``results`` are all
    jobs' overrides and scores, None for a job without one: where one key or two were swept, they are drawn beside it.
    """
    page = page or Page()
    panels: dict[Any, list[Line]] = {}
    for one in lines:
        schedule = one.curve.schedule
        panels.setdefault((one.curve.path, schedule.param_name, schedule.relative, schedule.event), []).append(one)
    scored = any(is_score(one.score) for one in lines)
    design = Design() if scored else designed(lines)
    how = by_score(lines, page.maximize) if scored else look(lines, design)
    facets = list(dict.fromkeys(map(design.facet, lines)))
    keys = differing([overrides for overrides, _ in results]) if scored else []
    beside = len(keys) in (1, 2)
    columns = min(COLUMNS, len(facets))
    rows = -(-len(facets) // columns)
    height = (3.5 if columns == 1 else 2.5) * rows
    heights = [height] * len(panels) + [3.2] * beside
    figure = _figure(12, 0.9 + sum(heights), page.title)
    parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for part, ((where, name, relative, event), group) in zip(parts, panels.items(), strict=False):
        grid = part.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(facets) :]:
            axes.set_visible(False)
        ylabel = f"{name} (times each group's own)" if relative else name
        several = len({path for path, *_ in panels}) > 1
        part.supylabel(_text(f"{where}: {ylabel}" if several else ylabel), fontsize="medium")
        for facet, axes in zip(facets, grid.flat, strict=False):
            shown = [one for one in group if design.facet(one) == facet]
            for one in shown:
                c = one.curve
                style = {"linewidth": 0.9 if len(shown) > FEW else 1.7, **how.styles[id(one)]}
                line(axes, c.events, c.values, first_restarts(c.schedule, c.num_events, 1000), **style)
            axes.set_title(_text(facet), fontsize="small")
            if page.log or (page.log is None and any(exponential(one.curve.schedule) for one in group)):
                _logarithmic(axes, [one.curve for one in group])
            length = max(one.curve.num_events for one in group)
            _finish(axes, event, "", page.epoch_length if axes in grid[0] else None, length)
        if how.bar is not None:
            part.colorbar(how.bar, ax=grid, label=_text(how.bar_title), pad=0.01)
        how.entries = _not_at_ends(grid.flat[0], lines, how) if grid.size == len(panels) == 1 else how.entries
    if len(how.entries) > 1:
        figure.legend(
            [Line2D([], [], linewidth=1.7, **style) for _, style in how.entries],
            [_text(name) for name, _ in how.entries],
            title=_text(how.title) or None,
            loc="outside right upper",
            fontsize="small",
            frameon=False,
        )
    if beside:
        _results(parts[-1], keys, results, page.maximize)
    curves = sum(one.jobs for one in lines)
    twins = f"{curves} curves, of which {len(lines)} differ: twins are drawn once" if curves > len(lines) else ""
    figure.supxlabel(
        _text("; ".join(filter(None, (page.note, twins))), SENTENCE),
        x=0.01,
        ha="left",
        fontsize="small",
        color="#606060",
    )
    return _save(figure, path)


def draw_sweep(path: Path, lines: Sequence[tuple[str, Curve]], scores: Any = None, heat: Any = None) -> None:
    """Draw labelled curves."""
    scored = scores or [None] * len(lines)
    draw_curves(path, [Line(curve=c, label=name, score=s) for (name, c), s in zip(lines, scored, strict=True)])


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    if title:
        figure.suptitle(_text(title, SENTENCE), x=0.01, ha="left", fontsize="medium")
    return figure


def _save(figure: Figure, path: Path) -> list[Path]:
    files = [path, path.with_suffix(".svg")]
    for file in files:
        figure.savefig(file)
    return files


def _not_at_ends(axes: Axes, lines: Sequence[Line], how: Look) -> list[tuple[str, Style]]:
    """The legend that is left once each line has its name at its end, where there is room for all of them."""
    if len(lines) != len(how.entries) or not 1 < len(lines) <= len(PALETTE):
        return how.entries
    axes.autoscale_view()  # it is put off until something asks for it; the transformations do not
    ends = axes.transAxes.inverted().transform(
        axes.transData.transform([(one.curve.events[-1], one.curve.values[-1]) for one in lines])
    )
    apart = np.diff(np.sort(ends[:, 1]))
    if not np.isfinite(ends).all() or apart.min() < 0.06 or ends[:, 0].min() < 0.95:
        return how.entries
    names = {style["color"]: name for name, style in how.entries}
    for one in lines:
        color = how.styles[id(one)]["color"]
        axes.annotate(
            _text(f"{how.title}={names[color]}" if how.title else names[color]),
            (one.curve.events[-1], one.curve.values[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=color,
            annotation_clip=False,
        )
    return []


def _results(
    part: Any,
    keys: Sequence[str],
    results: Sequence[tuple[Mapping[str, str], float | None]],
    maximize: bool | None,
) -> None:
    """What came of the values of one key, or of two: points, bars, or a map."""
    axes = part.subplots()
    axes.set_xlabel(_text(keys[0]))
    columns = ordered([overrides.get(keys[0], "") for overrides, _ in results])
    numeric = all(map(is_number, columns))
    if len(keys) == 1:
        pairs = [(overrides.get(keys[0], ""), score) for overrides, score in results]
        known = [(name, score) for name, score in pairs if is_score(score)]
        lost = [name for name, score in pairs if not is_score(score)]
        at = {name: float(name) if numeric else i for i, name in enumerate(columns)}
        axes.plot([at[name] for name, _ in known], [score for _, score in known], "o", color=PALETTE[0])
        for name in lost:
            axes.axvline(at[name], color=GREY, linestyle=":", linewidth=1)
            axes.annotate("failed", (at[name], 0.5), xycoords=("data", "axes fraction"), rotation=90, color="#606060")
        if not numeric:
            axes.set_xticks(range(len(columns)), [_text(name) for name in columns])
        elif 0 < 50 * min(at.values()) < max(at.values()):
            axes.set_xscale("log")
        axes.set_ylabel("returned value")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        return
    rows = ordered([overrides.get(keys[1], "") for overrides, _ in results])
    table, there = np.full((len(rows), len(columns)), np.nan), np.zeros((len(rows), len(columns)), dtype=bool)
    for overrides, score in results:
        where = rows.index(overrides.get(keys[1], "")), columns.index(overrides.get(keys[0], ""))
        there[where] = True
        table[where] = score if is_score(score) else np.nan
    bar = scores(table.ravel(), maximize)
    axes.imshow(bar.to_rgba(np.ma.masked_invalid(table)), origin="lower", aspect="auto")
    axes.set_ylabel(_text(keys[1]))
    axes.set_xticks(range(len(columns)), [_text(name) for name in columns])
    axes.set_yticks(range(len(rows)), [_text(name) for name in rows])
    part.colorbar(bar, ax=axes, label="returned value", pad=0.01)
    for (row, column), value in np.ndenumerate(table):
        if there[row, column] and table.size <= 100:
            failed = not np.isfinite(value)
            color = "#606060" if failed else "black" if np.mean(bar.to_rgba(value)[:3]) > 0.45 else "white"
            axes.text(column, row, "failed" if failed else f"{value:.4g}", ha="center", va="center", color=color)


def exponential(schedule: Any) -> bool:
    """Whether it falls, or rises, by factors: then a logarithmic axis shows it best."""
    inner = getattr(schedule, "phases", {}).values()
    return isinstance(schedule, ExponentialAnnealing) or any(isinstance(one, ExponentialAnnealing) for one in inner)


def _logarithmic(axes: Axes, curves: Sequence[Curve]) -> None:
    values = np.concatenate([c.values[np.isfinite(c.values)] for c in curves])
    if values.size and 0 < 20 * values.min() < values.max():
        axes.set_yscale("log")


def _text(text: str, most: int = LABEL) -> str:
    """``text`` for a picture: of so many letters at most, and with dollars that mean dollars."""
    text = plain(text)
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def _finish(axes: Axes, event: Event, name: str, epoch_length: int | None, num_events: int) -> None:
    """Label the axes, with epochs on top where there are some."""
    unit = "epoch" if event is Event.EPOCH_STARTED else "iteration"
    axes.set(xlabel=f"{unit} (from 0)", ylabel=name)
    axes.grid(alpha=0.3)
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    if unit == "iteration" and epoch_length is not None and num_events > epoch_length:
        there, back = partial(np.multiply, 1 / epoch_length), partial(np.multiply, epoch_length)
        epochs = axes.secondary_xaxis("top", functions=(there, back))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
