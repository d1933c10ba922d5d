"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure.

One design for a preview, a run and a report: events are counted from 0, epochs stand on top where they are known, a
restart is a jump. What others named, overrides and parameters, is shown as text: dollars make no formulas.
"""

from __future__ import annotations

import itertools
import time
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
from cosched.schedules.plotting import join, line
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
    Style,
    by_score,
    designed,
    few,
    is_score,
    look,
    panels,
)
from cosched.sweeps.jobs import differing
from cosched.sweeps.line import branches_at
from cosched.sweeps.outcomes import Point, draw_budgets, draw_results
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import short, shown

Curves = dict[str, list[list[float]]]  # name -> for each iteration, a value for each line

COLUMNS = 3  # small multiples beside each other
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
    results: Sequence[tuple[Mapping[str, str], float | None]] = (),
) -> list[Path]:
    """Save the curves, one panel per schedule, as PNG and SVG, and return the files.

    They are coloured by their scores where there are some, or by the keys of their overrides. ``results`` are all
    jobs' overrides and scores, None for a job without one: where one key or two were swept, they are drawn beside it.
    """
    page = page or Page()
    found = panels(lines)
    scored = any(is_score(one.score) for one in lines)
    design = Design() if scored else designed(lines)
    how = by_score(lines, page.maximize) if scored else look(lines, design)
    facets = list(dict.fromkeys(map(design.facet, lines)))
    keys = differing([overrides for overrides, _ in results]) if scored else []
    beside = len(keys) in (1, 2)
    columns = min(COLUMNS, len(facets))
    rows = -(-len(facets) // columns)
    height = (3.5 if columns == 1 else 2.5) * rows
    budgets = _budgets(lines, page) if scored else []
    heights = [height * len(found)] + [3.2] * (beside + bool(budgets))
    figure = _figure(12, 0.9 + sum(heights), page.title)
    top, *parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    whole = top.subplots(len(found) * rows, columns, squeeze=False)
    several = len({panel.path for panel in found}) > 1
    for first, (panel, group) in zip(range(0, len(whole), rows), found.items(), strict=True):
        grid = whole[first : first + rows]
        for axes in grid.flat[len(facets) :]:
            axes.set_visible(False)
        name = shown(f"{panel.path}: {panel.name}" if several else panel.name)
        for i, (facet, axes) in enumerate(zip(facets, grid.flat, strict=False)):
            here = few([one for one in group if design.facet(one.line) == facet])
            width = 0.9 if len(here) > FEW else 1.7
            drawn = [_draw(axes, one, {"linewidth": width, **how.styles[id(one.line)]}) for one in here]
            join(axes, itertools.chain(*drawn))
            axes.set_title(shown(facet), fontsize="small")
            if page.log or (page.log is None and by_factors(group)):
                _logarithmic(axes, group)
            _name_groups(axes, here)
            length = max(one.line.curve.num_events for one in group)
            _finish(axes, panel.event, "", page.epoch_length if axes in grid[0] else None, length)
            lowest = i + columns >= len(facets)
            if i:
                axes.sharex(grid[0, 0])
                axes.sharey(grid[0, 0])
            axes.tick_params(labelbottom=lowest, labelleft=axes in grid[:, 0])
            axes.xaxis.label.set_visible(lowest)
        grid[(rows - 1) // 2, 0].set_ylabel(name)
        if how.bar is not None:
            top.colorbar(how.bar, ax=grid, label=shown(how.bar_title), pad=0.01)
        how.entries = _not_at_ends(grid.flat[0], lines, how) if grid.size == len(found) == 1 else how.entries
    branches = any(branches_at(one.curve) is not None for one in lines)
    how.entries += [("the run before", TRUNK)] * branches
    if len(how.entries) > 1 or branches:
        figure.legend(
            [Line2D([], [], **{"linewidth": 1.7, **style}) for _, style in how.entries],
            [shown(name) for name, _ in how.entries],
            title=shown(how.title) or None,
            loc="outside right upper",
            fontsize="small",
            frameon=False,
        )
    if beside:
        draw_results(parts[0], keys, results, page.maximize)
    if budgets:
        axes = draw_budgets(parts[-1], budgets)
        _finish(axes, Event.ITERATION_STARTED, "returned value", page.epoch_length, max(one[1] for one in budgets))
        axes.set_xlabel("iterations of training, those of the run before included")
        axes.margins(x=0.03)
    curves = sum(one.jobs for one in lines)
    twins = f"{curves} curves, of which {len(lines)} differ: twins are drawn once" if curves > len(lines) else ""
    figure.supxlabel(
        shown("; ".join(filter(None, (page.note, twins))), SENTENCE),
        x=0.01,
        ha="left",
        fontsize="small",
        color="#606060",
    )
    return _save(figure, path)


def dated(title: str) -> str:
    """A title, of so many letters at most, and the time now."""
    return f"{short(title, SENTENCE)}, {time.strftime('%Y-%m-%d %H:%M')}" if title else ""


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    if title:
        figure.suptitle(shown(dated(title), 2 * SENTENCE), x=0.01, ha="left", fontsize="medium")
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
    after = max(before - 1, 0)
    return [
        line(axes, c.events[:before], values[:before], restarts, **TRUNK),
        line(axes, c.events[after:], values[after:], restarts, **style),
    ]


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
        if c.path == lines[0].curve.path and per_event and one.score is not None and is_score(one.score):
            found.append((one.overrides, c.num_events * per_event, one.score))
    return found


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
            shown(f"{how.title}={names[color]}" if how.title else names[color]),
            (one.curve.events[-1], one.curve.values[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=color,
            annotation_clip=False,
        )
    return []


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
    axes.grid(alpha=0.3)
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    if unit == "iteration" and epoch_length is not None and num_events > epoch_length:
        there, back = partial(np.multiply, 1 / epoch_length), partial(np.multiply, epoch_length)
        epochs = axes.secondary_xaxis("top", functions=(there, back))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
