"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure.

One design for a preview, a run and a report: events are counted from 0, epochs stand on top where they are known, a
restart is a jump. What others named, overrides and parameters, is shown as text: dollars make no formulas.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import fill, wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cosched.schedules.annealing import ExponentialAnnealing
from cosched.schedules.durations import Event
from cosched.schedules.plotting import join, jumps, line
from cosched.sweeps.applied import draw_lines
from cosched.sweeps.design import (
    BLACK,
    FEW,
    GREY,
    PALETTE,
    Design,
    Drawn,
    Line,
    Look,
    Panel,
    Style,
    by_score,
    designed,
    few,
    look,
    merged,
    panels,
    scores,
)
from cosched.sweeps.jobs import differing
from cosched.sweeps.line import branches_at
from cosched.sweeps.outcomes import Outcome, Point, draw_budgets, draw_results
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import short, shown

Curves = dict[str, list[list[float]]]  # name -> for each iteration, a value for each line

SENTENCE = 160  # letters of a title, or a note, that are shown
TRUNK: Style = {"color": GREY, "linewidth": 2.5, "zorder": 1.9}  # what a branch has from an earlier run


@dataclass(frozen=True, kw_only=True)
class Page:
    """What stands around the curves.

    Attributes:
        title: the app, and the job or sweep; the date is added to it.
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
    before: Mapping[str, int] | None = None,
) -> None:
    """Save one panel per declared name: its value at every iteration, and on top of it what was ``applied``.

    ``iteration`` is how many there have been, and an epoch has ``epoch_length`` of them; ``restarts`` are the
    iterations, from 0, at which a cycle begins; ``before`` says up to which of them an earlier run had a schedule of
    its own: there, what was applied then is drawn alone. ``path`` is the file, and ``title`` stands above all.
    """
    figure = _figure(12, 0.9 + 3.5 * len(declared), title)
    entries: dict[str, Line2D] = {}
    for axes, (name, values) in zip(figure.subplots(len(declared), squeeze=False)[:, 0], declared.items(), strict=True):
        begun, left = (restarts or {}).get(name, ()), (before or {}).get(name, 0)
        entries |= draw_lines(axes, iteration, values, applied[name], begun, left, TRUNK)
        _finish(axes, Event.ITERATION_STARTED, shown(name), epoch_length, iteration)
    figure.legend([*entries.values()], [*entries], loc="outside right upper", fontsize="small", frameon=False)
    _save(figure, path)


def draw_curves(
    path: Path,
    lines: Sequence[Line],
    page: Page | None = None,
    results: Sequence[Outcome] = (),
) -> list[Path]:
    """Save the curves of all jobs, one panel per schedule, as PNG and SVG, and return the files.

    Each curve is drawn once, coloured by what its jobs returned, if they returned something, or by the keys that were
    swept. ``results`` are those of all jobs: where keys were swept, they are drawn below.
    """
    page = page or Page()
    once = merged(lines)
    found = panels(once)
    paths = {panel.path for panel in found}
    scored = any(one.score is not None for one in once)
    bar = scores((one.score for one in results or once), page.maximize) if scored else None
    sheets = [_sheet(panel, group, paths, bar, page.maximize) for panel, group in found.items()]
    keys = differing([one.overrides for one in results]) if bar is not None else []
    budgets = _budgets(lines, page) if bar is not None else []
    heights = [sum(sheet.height for sheet in sheets)] + [3.2] * (bool(keys) + bool(budgets))
    figure = _figure(12, 0.9 + sum(heights), page.title)
    top, *parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    grids = list(_grids(top, sheets))
    for sheet, grid in zip(sheets, grids, strict=True):
        _draw_sheet(sheet, grid, page, several=len(paths) > 1)
        if sheet.how.bar is not None and bar is None:
            grid[0, 0].figure.colorbar(sheet.how.bar, ax=grid, label=shown(sheet.how.bar_title), pad=0.01)
        if grid.size == 1 and _named_at_ends(grid[0, 0], sheet):
            sheet.how.entries = []
    if bar is not None:
        best_is = {True: "\n(greatest is best)", False: "\n(least is best)", None: ""}[page.maximize]
        mean = "mean of the returned values" if any(one.jobs > 1 for one in once) else "returned value"
        every = [axes for grid in grids for axes in grid.flat]
        top.colorbar(bar, ax=every, label=f"{mean}{best_is}", pad=0.01, aspect=20 * len(sheets))
    branches = any(branches_at(one.curve) is not None for one in lines)
    legends = [(sheet.how.title, sheet.how.entries + [("the run before", TRUNK)] * branches) for sheet in sheets]
    if bar is None and sheets and all(legend == legends[0] for legend in legends):
        _legend(figure, *legends[0], loc="outside right upper")
    else:
        for grid, legend in zip(grids, legends, strict=True):
            _legend(grid[0, -1], *legend, loc="upper left", bbox_to_anchor=(1.01, 1))
    if keys:
        draw_results(parts[0], keys, results, page.maximize)
    if budgets:
        axes = draw_budgets(parts[-1], budgets)
        _finish(axes, Event.ITERATION_STARTED, "returned value", page.epoch_length, max(one[1] for one in budgets))
        axes.set_xlabel("iterations of training, those of the run before included")
        axes.margins(x=0.03)
    curves = sum(one.jobs for one in once)
    twins = f"{curves} curves, {len(once)} of them different: each of these is drawn once" if curves > len(once) else ""
    figure.supxlabel(
        shown("; ".join(filter(None, (page.note, twins))), SENTENCE),
        x=0.01,
        ha="left",
        fontsize="small",
        color="#606060",
    )
    return _save(figure, path)


@dataclass(kw_only=True)
class Sheet:
    """A panel, and how it is drawn.

    Attributes:
        panel: what it shows.
        drawn: its lines.
        design: in which axes they stand.
        how: how each is drawn.
    """

    panel: Panel
    drawn: Sequence[Drawn]
    design: Design
    how: Look

    @property
    def facets(self) -> list[str]:
        """What stands above each of its axes."""
        return list(dict.fromkeys(self.design.facet(one.line) for one in self.drawn))

    @property
    def columns(self) -> int:
        """How many axes are beside each other."""
        return min(3 if len(self.facets) <= 9 else 5, len(self.facets))

    @property
    def rows(self) -> int:
        """How many are below each other."""
        return -(-len(self.facets) // self.columns)

    @property
    def height(self) -> float:
        """In inches."""
        return {1: 3.5, 5: 1.9}.get(self.columns, 2.5) * self.rows


def _sheet(panel: Panel, drawn: Sequence[Drawn], paths: Iterable[str], bar: Any, maximize: bool | None) -> Sheet:
    lines = list({id(one.line): one.line for one in drawn}.values())
    keys = differing([one.overrides for one in lines])
    inside = all(key.startswith(f"{panel.path}.") for key in keys)  # no need to say in which schedule
    design = designed(lines, () if inside else paths)
    if bar is None:
        return Sheet(panel=panel, drawn=drawn, design=design, how=look(lines, design))
    return Sheet(panel=panel, drawn=drawn, design=Design(design.called), how=by_score(lines, design, bar, maximize))


def _grids(top: Any, sheets: Sequence[Sheet]) -> Iterator[Any]:
    """The axes of each panel, rows of them."""
    if all(sheet.columns == 1 for sheet in sheets):  # on one grid, so that all begin and end below each other
        yield from top.subplots(len(sheets), squeeze=False)[:, None]
        return
    heights = [sheet.height for sheet in sheets]
    parts = top.subfigures(len(sheets), squeeze=False, height_ratios=heights)[:, 0]
    for sheet, part in zip(sheets, parts, strict=True):
        yield part.subplots(sheet.rows, sheet.columns, squeeze=False)


def _draw_sheet(sheet: Sheet, grid: Any, page: Page, several: bool) -> None:
    facets, columns = sheet.facets, sheet.columns
    length = max(one.line.curve.num_events for one in sheet.drawn)
    for axes in grid.flat[len(facets) :]:
        axes.set_visible(False)
    for i, (facet, axes) in enumerate(zip(facets, grid.flat, strict=False)):
        here = few([one for one in sheet.drawn if sheet.design.facet(one.line) == facet])
        width = 0.9 if len(here) > FEW else 1.7
        drawn = [_draw(axes, one, {"linewidth": width, **sheet.how.styles[id(one.line)]}) for one in here]
        join(axes, itertools.chain(*drawn))
        axes.set_title(shown(facet), fontsize="small")
        if page.log or (page.log is None and by_factors(sheet.drawn)):
            _logarithmic(axes, sheet.drawn)
        _name_groups(axes, here)
        _finish(axes, sheet.panel.event, "", page.epoch_length if axes in grid[0] else None, length)
        lowest = i + columns >= len(facets)
        if i:
            axes.sharex(grid[0, 0])
            axes.sharey(grid[0, 0])
        axes.tick_params(labelbottom=lowest, labelleft=axes in grid[:, 0])
        axes.xaxis.label.set_visible(lowest)
    name = [f"{shown(sheet.panel.path)}:"] * several + wrap(shown(sheet.panel.name), 32)
    for axes in grid[:, 0]:
        axes.set_ylabel("\n".join(name))


def _legend(where: Any, title: str, entries: Sequence[tuple[str, Style]], **place: Any) -> None:
    if len(entries) > 1 or (entries and entries[0][1] is TRUNK):
        where.legend(
            [Line2D([], [], **{"linewidth": 1.7, **style}) for _, style in entries],
            [shown(name) for name, _ in entries],
            title=shown(title) or None,
            fontsize="small",
            frameon=False,
            alignment="left",
            **place,
        )


def dated(title: str) -> str:
    """A title, of so many letters at most, and the time now."""
    return f"{short(title, SENTENCE)}, {time.strftime('%Y-%m-%d %H:%M')}" if title else ""


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    if title:
        figure.suptitle(fill(shown(dated(title), 2 * SENTENCE), 100), x=0.01, ha="left", fontsize="medium")
    return figure


def _save(figure: Figure, path: Path) -> list[Path]:
    files = [path, path.with_suffix(".svg")]
    for file in files:
        figure.savefig(file)
        figure.set_layout_engine("none")  # as it has been laid out for the first one
    return files


def _draw(axes: Axes, drawn: Drawn, style: Style) -> list[Any]:
    """The line of a curve, which is still to be joined; what it has from an earlier run is grey, below it."""
    c = drawn.line.curve
    restarts, at = first_restarts(c.schedule, c.num_events, 1000), branches_at(c)
    values = c.values * drawn.factor
    if at is None:
        return [line(axes, c.events, values, restarts, **style)]
    before = int(np.searchsorted(c.events, at))
    jumping = before in jumps(c.events, values, restarts)
    after = before if jumping else max(before - 1, 0)
    trunk = line(axes, c.events[:before], values[:before], restarts, **TRUNK)
    own, between = line(axes, c.events[after:], values[after:], restarts, **style)
    between += [[(at, values[before - 1]), (at, values[before])]] * jumping
    return [trunk, (own, between)]


def _name_groups(axes: Axes, drawn: Sequence[Drawn]) -> None:
    """Say at its peak which groups a line is of, where there are few; else which the least and the greatest are of."""
    named = {one.groups: one for one in reversed(drawn) if one.groups}  # the first ones
    below = len(named) > 1 and axes.get_yscale() == "log"  # the least: others are close above it
    ordered = sorted(named.values(), key=lambda one: one.factor)
    for one in ordered if len(ordered) <= 5 else (ordered[0], ordered[-1]):
        c = one.line.curve
        peak = int(np.nanargmax(c.values))
        axes.annotate(
            shown(one.groups),
            (c.events[peak], c.values[peak] * one.factor),
            xytext=(4, -11 if below and one is ordered[0] else 3),
            textcoords="offset points",
            fontsize="small",
            color=BLACK,
        )
        axes.margins(y=0.1)  # so that the text is inside


def _budgets(lines: Sequence[Line], page: Page) -> list[Point]:
    """One point per job, where some of them are branches."""
    if all(branches_at(one.curve) is None for one in lines):
        return []
    found: list[Point] = []
    for one in lines:
        c = one.curve
        per_event = page.epoch_length if c.schedule.event is Event.EPOCH_STARTED else 1
        if c.path == lines[0].curve.path and per_event and one.score is not None and np.isfinite(one.score):
            found.append((one.overrides, c.num_events * per_event, one.score))
    return found


def _named_at_ends(axes: Axes, sheet: Sheet) -> bool:
    """Put the name of each line at its end, if there is room for all of them."""
    lines, ends = [one.line for one in sheet.drawn], sheet.how.ends
    if not 1 < len(lines) == len(ends) <= len(PALETTE):
        return False
    axes.autoscale_view()  # it is put off until something asks for it; the transformations do not
    at = axes.transAxes.inverted().transform(
        axes.transData.transform([(one.curve.events[-1], one.curve.values[-1]) for one in lines])
    )
    apart = np.diff(np.sort(at[:, 1]))
    if not np.isfinite(at).all() or apart.min() < 0.06 or at[:, 0].min() < 0.95:
        return False
    for one in lines:
        axes.annotate(
            shown(ends[id(one)]),
            (one.curve.events[-1], one.curve.values[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=sheet.how.styles[id(one)]["color"],
            annotation_clip=False,
        )
    return True


def by_factors(drawn: Sequence[Drawn]) -> bool:
    """Whether a line falls, or rises, by factors, or the lines lie apart by such: a logarithmic axis shows that."""
    factors = [one.factor for one in drawn]
    return max(factors) > 20 * min(factors) or any(exponential(one.line.curve.schedule) for one in drawn)


def exponential(schedule: Any) -> bool:
    """Whether it falls, or rises, by factors: then a logarithmic axis shows it best."""
    inner = getattr(schedule, "phases", {}).values()
    return isinstance(schedule, ExponentialAnnealing) or any(isinstance(one, ExponentialAnnealing) for one in inner)


def _logarithmic(axes: Axes, drawn: Sequence[Drawn]) -> None:
    values = np.concatenate([one.line.curve.values * one.factor for one in drawn])
    values = values[np.isfinite(values)]
    if values.size and 0 < 20 * values.min() < values.max():
        axes.set_yscale("log")


def _finish(axes: Axes, event: Event, name: str, epoch_length: int | None, num_events: int) -> None:
    """Label the axes, with epochs on top where there are some."""
    unit = "epoch" if event is Event.EPOCH_STARTED else "iteration"
    axes.set(xlabel=f"{unit} (from 0)", ylabel=name)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    if unit == "iteration" and epoch_length is not None and num_events > epoch_length:
        there, back = partial(np.multiply, 1 / epoch_length), partial(np.multiply, epoch_length)
        epochs = axes.secondary_xaxis("top", functions=(there, back))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
