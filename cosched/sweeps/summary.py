"""A sweep summed up: the ranked table, ``sweep.csv``, ``sweep.png`` and the like."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from cosched.sweeps.curves import over
from cosched.sweeps.design import Line
from cosched.sweeps.jobs import command, does, label, ranges, repeats, repetition, schedules, together, told_apart
from cosched.sweeps.lengths import noted
from cosched.sweeps.line import parts, sparkline
from cosched.sweeps.outcomes import Outcome
from cosched.sweeps.pictures import Page, draw_curves
from cosched.sweeps.results import LOST, RUNNING, Result
from cosched.sweeps.screen import MANY, Row, Screen
from cosched.sweeps.text import attempt, plain, short, write_csv

UNRANKED = (
    "Not ranked, for nobody says whether the greatest value is the best: "
    "hydra.callbacks.schedule_report.maximize=true, or false (cosched report --maximize, --minimize)"
)


def sum_up(results: Sequence[Result], folder: Path, title: str, maximize: bool | None) -> list[Path]:
    """Write the files, which are returned, and print the table; what fails of it is told, and the rest goes on."""
    results = alike(results)
    curves = [c for r in results for c in r.curves]
    called = told_apart((r.overrides for r in results), curves)
    order = ranking(results, maximize)
    written = []
    with attempt(f"writing {folder / 'sweep.csv'}"):
        write_csv(folder / "sweep.csv", _table(results, order, folder))
        written.append(folder / "sweep.csv")
    if curves:
        with attempt(f"drawing {folder / 'sweep.png'}"):
            written += _draw(folder / "sweep.png", results, called, _page(results, title, maximize))
        if find_spec("plotly"):
            with attempt(f"writing {folder / 'sweep.html'}"):
                written.append(_html(folder / "sweep.html", results, _page(results, title, maximize)))
    with attempt("printing the table"):
        _print(results, called, order, title, folder / "sweep.csv")
        print(*(plain(str(path)) for path in written), sep="\n", flush=True)
    return written


def alike(results: Sequence[Result]) -> list[Result]:
    """The results, where the run of a job is not known with the length that all others have."""
    known = {length for r in results for length in r.lengths if not length.assumed}
    if len(known) != 1:
        return list(results)
    length = replace(next(iter(known)), guessed=True)
    return [
        replace(
            r,
            lengths=[length if one.assumed else one for one in r.lengths],
            curves=[
                over(c.path, c.declared, c.warned, **length.whole) if one.assumed else c
                for c, one in zip(r.curves, r.lengths, strict=True)
            ],
        )
        for r in results
    ]


def ranking(results: Sequence[Result], maximize: bool | None) -> dict[int, int]:
    """By index the rank of each result that has a value, equal ones sharing it; none where no direction is known."""
    if maximize is None:
        return {}
    valued = [i for i, r in enumerate(results) if r.error is None and r.value is not None]
    costs = {i: cast("float", results[i].value) * (-1 if maximize else 1) for i in valued}
    keys = {i: (True, 0.0) if math.isnan(cost) else (False, cost) for i, cost in costs.items()}  # NaN is the worst
    return {i: 1 + sum(other < keys[i] for other in keys.values()) for i in valued}


def _ordered(results: Sequence[Result], order: dict[int, int]) -> list[int]:
    """The best first, then those without a rank: without a value, failed."""
    last = len(results)
    return sorted(
        range(last), key=lambda i: (order.get(i, last + 1), results[i].error is not None, i) if order else (i,)
    )


def _table(results: Sequence[Result], order: dict[int, int], folder: Path) -> Iterator[Sequence[object]]:
    """The rows of ``sweep.csv`` in a folder, in the order of the jobs."""
    keys = list(dict.fromkeys(key for result in results for key in result.overrides))
    paths = list(dict.fromkeys(c.path for result in results for c in result.curves))
    several = [""] if len(paths) == 1 else [f" {path}" for path in paths]
    columns = [f"{name}{path}" for name in ("run", "fingerprint") for path in several]
    yield ("job", *keys, "value", "rank", *columns, "findings", "error", "folder")
    for i, result in enumerate(results):
        prints = {c.path: c.fingerprint for c in result.curves}
        runs = {c.path: str(length) for c, length in zip(result.curves, result.lengths, strict=True)}
        yield [
            result.number,
            *map(result.overrides.get, keys),
            result.value,
            order.get(i),
            *map(runs.get, paths),
            *map(prints.get, paths),
            "; ".join([*result.findings, *(text for c in result.curves for text in c.findings)]) or None,
            result.error,
            None if result.folder is None else os.path.relpath(result.folder, folder),
        ]


def _page(results: Sequence[Result], title: str, maximize: bool | None) -> Page:
    lengths = [length for result in results for length in result.lengths]
    epoch_lengths = {length.epoch_length for length in lengths}
    return Page(
        title=title,
        epoch_length=epoch_lengths.pop() if len(epoch_lengths) == 1 else None,
        note=noted(lengths),
        maximize=maximize,
    )


def _draw(path: Path, results: Sequence[Result], called: dict[str, str], page: Page) -> list[Path]:
    lines = [
        Line(
            curve=c,
            label=label(r.overrides, called, r.number),
            overrides=r.overrides,
            score=r.value,
            groups=r.groups.get(c.path, {}),
        )
        for r in results
        for c in r.curves
    ]
    outcomes = [Outcome(r.overrides, None if r.error else r.value, _value(r)) for r in results]
    return draw_curves(path, lines, page, outcomes)


def _html(path: Path, results: Sequence[Result], page: Page) -> Path:
    from cosched.sweeps.page import Shown, write_page

    order = ranking(results, page.maximize)
    shown = [
        Shown(
            number=r.number,
            overrides=r.overrides,
            command=command(r.overrides, r.program),
            curves=r.curves,
            groups=r.groups,
            score=None if r.error is not None else r.value,
            value=_value(r),
            rank=order.get(i),
            notes=_said(r),
        )
        for i, r in enumerate(results)
    ]
    return write_page(path, shown, page)


def _said(result: Result) -> list[str]:
    """What is wrong with a job, or odd about it."""
    return [*filter(None, [result.error]), *result.findings, *(text for c in result.curves for text in c.findings)]


def _print(results: Sequence[Result], called: dict[str, str], order: dict[int, int], title: str, file: Path) -> None:
    same = repeats([(r.overrides, r.curves) for r in results], [r.idle for r in results])
    found = {i: _said(r) for i, r in enumerate(results)}
    for i, earlier in same.items():
        which = f"job {results[earlier].number}" if len(results) <= MANY else "an earlier job"
        found[i] += repetition(results[i].overrides, results[earlier].overrides, results[i].idle, which)
    for i, r in enumerate(results):
        guesses = dict.fromkeys(str(length) for length in r.lengths if length.assumed)
        found[i] += [f"began no run that is known: {', '.join(guesses)}"] if guesses else []
    known = [length for result in results for length in result.lengths if not length.assumed]
    lengths = list(dict.fromkeys(map(str, known)))
    over = f" over {lengths[0]}" if len(lengths) == 1 else ""
    screen = Screen(
        f"{title}{over}{', best first' if order else ''}",
        spare=("parts",),
        numbers=("rank", "job", "count", "failed", "best", "mean"),
    )
    if len(results) > MANY:
        _print_groups(screen, results, called, order, found, file)
    else:
        several = len({one.folder.parent for one in results if one.folder}) > 1  # so that the numbers are ours
        for i in _ordered(results, order):
            r = results[i]
            marks = screen.notes.mark(found[i], r.number)
            head = {"rank": str(order.get(i, "")), "job": str(r.number), "value": _value(r), "notes": marks}
            if len(lengths) > 1:
                head["run"] = ", ".join(dict.fromkeys(map(str, r.lengths)))
            if several:
                head["folder"] = str(r.folder)
            overrides = {name: r.overrides.get(key, "") for key, name in called.items()}
            style = "red" if r.error is not None else ""
            screen.rows.append(Row(head=head, overrides=overrides, lines=_lines(r), style=style))
    if not order and any(r.value is not None for r in results):
        screen.remarks.append(UNRANKED)
    screen.show(whose=len(results) > MANY)


def _lines(result: Result) -> list[dict[str, str]]:
    what = schedules(result.curves)
    return [
        {"schedule": what[c.path] if len(what) > 1 else "", "curve": sparkline(c, 20), "parts": parts(c)}
        for c in result.curves
    ]


def _value(result: Result) -> str:
    if result.error is not None:
        return {LOST: "not run", RUNNING: "no result"}.get(result.error, "failed")
    return "none" if result.value is None else f"{result.value:.6g}"


def _print_groups(
    screen: Screen,
    results: Sequence[Result],
    called: dict[str, str],
    order: dict[int, int],
    found: dict[int, list[str]],
    file: Path,
) -> None:
    """One row per distinct curve: how many jobs have it, and what they returned."""
    groups: dict[object, list[int]] = {}
    for i in _ordered(results, order):
        r = results[i]
        groups.setdefault(does(r.curves) if r.curves else i, []).append(i)
    for group in list(groups.values())[:MANY]:
        jobs = [results[i] for i in group]
        values = [r.value for r in jobs if r.error is None and r.value is not None]
        failed = sum(r.error is not None for r in jobs)
        said = [(found[i], results[i].number) for i in group]
        head = {
            "jobs": short(ranges(sorted(r.number for r in jobs))),
            "count": str(len(jobs)) if len(groups) < len(results) else "",
            "failed": str(failed or ""),
        }
        if order:
            head["best"] = f"{values[0]:.6g}" if values else ""
        head["mean"] = f"{statistics.fmean(values):.6g}" if values else "none"
        head["notes"] = screen.notes.marks(said)
        overrides = together([one.overrides for one in jobs], called)
        screen.rows.append(Row(head=head, overrides=overrides, lines=_lines(jobs[0]), style="" if values else "red"))
    if len(groups) > MANY:
        screen.remarks.append(f"… and {len(groups) - MANY} more curves")
    screen.remarks.append(f"All {len(results)} jobs: {file}")
