"""What a reader tells a sweep's curves apart by: colours, dashes, axes of their own, or the scores of the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize

from cosched.schedules.durations import Event
from cosched.sweeps.curves import Curve
from cosched.sweeps.jobs import differing, joined, names, of_schedule, ranges, words
from cosched.sweeps.text import short

# Okabe & Ito 2008, told apart by colour-blind readers too; yellow left out, for it is faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#202020", "#8C8C8C")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)))
BLACK, GREY = "#202020", "#B0B0B0"
FEW = 12  # curves in one panel that a reader can tell apart
MANY = 30  # axes that a reader can look at

Style = dict[str, Any]  # what `axes.plot` takes


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve of a sweep, as it is drawn.

    Attributes:
        curve: the schedule over its run.
        label: what tells its job from the others.
        overrides: those of its job; where several jobs have it, with the values of them all.
        score: what its job returned, or the mean of what several did; None: nothing, or it has failed.
        jobs: how many jobs have this curve.
        groups: what a relative schedule multiplies in each group, by name; empty: that is not known.
    """

    curve: Curve
    label: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    score: float | None = None
    jobs: int = 1
    groups: Mapping[str, float] = field(default_factory=dict)

    def named(self, key: str | None) -> str:
        """The value of an override, or without a ``key`` the label."""
        return self.label if key is None else self.overrides.get(key, "")


def merged(lines: Iterable[Line]) -> list[Line]:
    """Each curve once, whichever jobs have it: an override of schedules that makes no difference has all their values.

    One of something else, as a seed, is left out where the jobs of a curve differ in it.
    """
    alike: dict[object, list[Line]] = {}
    for one in lines:
        c, schedule = one.curve, one.curve.schedule
        kind = (c.path, schedule.param_name, schedule.relative, schedule.event, c.fingerprint)
        alike.setdefault((*kind, *one.groups.items()), []).append(one)
    overrides = [joined([one.overrides for one in group]) for group in alike.values()]
    paths = {group[0].curve.path for group in alike.values()}
    several = {
        key
        for group, values in zip(alike.values(), overrides, strict=True)
        for key in values
        if not of_schedule(key, paths) and len({one.overrides.get(key) for one in group}) > 1
    }
    found = []
    for group, values in zip(alike.values(), overrides, strict=True):
        scores = [one.score for one in group if one.score is not None and is_score(one.score)]
        found.append(
            replace(
                group[0],
                overrides={key: value for key, value in values.items() if key not in several},
                score=fmean(scores) if scores else None,
                jobs=sum(one.jobs for one in group),
            )
        )
    return found


class Panel(NamedTuple):
    """What has axes of its own: a schedule, or the values that it makes of each group's own, where it is relative."""

    path: str
    param_name: str
    relative: bool
    event: Event
    of_groups: bool = False

    @property
    def name(self) -> str:
        """What stands beside its values."""
        if self.of_groups:
            return f"{self.param_name} of the groups"
        return f"{self.param_name} (times each group's own)" if self.relative else self.param_name


class Drawn(NamedTuple):
    """A line in a panel, ``factor`` times its curve, of the ``groups`` that have that value of their own."""

    line: Line
    factor: float = 1.0
    groups: str = ""


def _groups(names: Sequence[str]) -> str:
    if all(map(str.isdigit, names)):
        return f"group{'s' * (len(names) > 1)} {ranges(map(int, names))}"
    return ", ".join(names)


def panels(lines: Iterable[Line]) -> dict[Panel, list[Drawn]]:
    """What stands in which panel."""
    found: dict[Panel, list[Drawn]] = {}
    for one in lines:
        schedule = one.curve.schedule
        panel = Panel(one.curve.path, schedule.param_name, schedule.relative, schedule.event)
        found.setdefault(panel, []).append(Drawn(one))
        if schedule.relative and one.groups:
            named: dict[float, list[str]] = {}
            for name, value in one.groups.items():
                named.setdefault(value, []).append(name)
            drawn = [Drawn(one, value, f"{short(_groups(names), 30)}: {value:.3g}") for value, names in named.items()]
            found.setdefault(panel._replace(of_groups=True), []).extend(drawn)
    return found


def few(drawn: Sequence[Drawn]) -> list[Drawn]:
    """Of many lines those of the groups with the least and the greatest values, which all others lie between."""
    factors = [one.factor for one in drawn]
    return [one for one in drawn if len(drawn) <= 2 * FEW or one.factor in (min(factors), max(factors))]


@dataclass(frozen=True)
class Design:
    """Which key of the overrides a reader sees as what.

    Attributes:
        called: by key what the overrides are called.
        color: by which lines are coloured; None: by their labels.
        dash: by which they are dashed, if by one.
        facets: by whose values they stand in axes of their own.
        scaled: whether the colours are a scale of numbers.
        apart: whether each line has axes of its own.
    """

    called: Mapping[str, str] = field(default_factory=dict)
    color: str | None = None
    dash: str | None = None
    facets: tuple[str, ...] = ()
    scaled: bool = False
    apart: bool = False

    def facet(self, line: Line) -> str:
        """What stands above the axes in which a line is."""
        if self.apart:
            return self.label(line)
        return ", ".join(f"{self.called[key]}={line.named(key)}" for key in self.facets)

    def label(self, line: Line) -> str:
        """What tells a line from the others."""
        return " ".join(words(line.overrides, self.called)) or line.label


@dataclass(kw_only=True)
class Look:
    """How each line is drawn, and what explains it.

    Attributes:
        styles: by the id of each line.
        entries: what a legend says, and how that is drawn.
        title: what stands above them.
        ends: or by the id of each line the text at its end, if there is room.
        bar: or the scale of the colours.
        bar_title: what the scale is of.
    """

    styles: dict[int, Style]
    entries: list[tuple[str, Style]] = field(default_factory=list)
    title: str = ""
    ends: dict[int, str] = field(default_factory=dict)
    bar: ScalarMappable | None = None
    bar_title: str = ""


def designed(lines: Sequence[Line], paths: Iterable[str] = ()) -> Design:
    """The keys for colours, dashes and axes of their own with which the fewest axes hold all lines legibly.

    ``paths`` are those of all schedules beside which an override must be told.
    """
    keys = differing([one.overrides for one in lines])
    called = names(keys, paths)
    values = {key: {one.named(key) for one in lines} for key in keys}
    found: list[tuple[int, bool, bool, int, Design]] = []
    for color in keys:
        scaled = len(values[color]) > len(PALETTE)
        if scaled and not all(map(is_number, values[color])):
            continue
        for dash in [None, *(key for key in keys if key != color and len(values[key]) <= len(DASHES))]:
            design = Design(called, color, dash, tuple(key for key in keys if key not in (color, dash)), scaled)
            counts = Counter(map(design.facet, lines))
            if len(counts) <= FEW and (max(counts.values()) <= FEW or (scaled and dash is None)):
                found.append((len(counts), scaled, dash is not None, len(found), design))
    best = min(found, default=None, key=lambda one: one[:4])
    if best is None or (best[0] > 1 and len(lines) <= len(PALETTE)):
        return Design(called, apart=FEW < len(lines) <= MANY)
    return best[-1]


def look(lines: Sequence[Line], design: Design) -> Look:
    """How lines are drawn by their overrides."""
    text = design.label if design.color is None else lambda one: one.named(design.color)
    found = ordered(map(text, lines))
    bar = None
    if design.scaled:
        numbers = list(map(number, found))
        bar = ScalarMappable((LogNorm if _wide(numbers) else Normalize)(min(numbers), max(numbers)), "viridis")
        styles: dict[str, Style] = {name: {"color": bar.to_rgba(number(name))} for name in found}  # type: ignore[arg-type]
    else:
        several = design.dash is None and len(found) > len(PALETTE)
        styles = {
            name: {"color": PALETTE[0 if design.apart else i % len(PALETTE)]}
            | ({"linestyle": DASHES[i // len(PALETTE) % len(DASHES)]} if several and not design.apart else {})
            for i, name in enumerate(found)
        }
    dashes: dict[str, Any] = {}
    if design.dash is not None:
        dashes = dict(zip(ordered(one.named(design.dash) for one in lines), DASHES, strict=False))
    drawn = {
        id(one): {"alpha": 0.9, **styles[text(one)]} | ({"linestyle": dashes[one.named(design.dash)]} if dashes else {})
        for one in lines
    }
    said = design.called.get(design.color or "", "")
    if bar is not None:
        return Look(styles=drawn, bar=bar, bar_title=said)
    if design.apart or (not said and len(found) > 2 * FEW):  # or else the table tells them apart
        return Look(styles=drawn)
    alone = bool(said) and not dashes  # one key, said once
    prefix = f"{said}=" if said else ""
    entries = [("" if alone else prefix) + name for name in found]
    ends = {id(one): prefix + text(one) for one in lines} if len(found) == len(lines) else {}
    return Look(
        styles=drawn,
        entries=[
            *zip(entries, styles.values(), strict=True),
            *(
                (f"{design.called[str(design.dash)]}={name}", {"color": BLACK, "linestyle": dash})
                for name, dash in dashes.items()
            ),
        ],
        title=said if alone else "",
        ends=ends,
    )


def by_score(lines: Sequence[Line], design: Design, bar: ScalarMappable, maximize: bool | None) -> Look:
    """How lines are drawn by what their jobs returned, the best ones on top; what has no score hides nothing.

    Of a few lines, those below are broader, so that the same values of several can be seen.
    """
    styles: dict[int, Style] = {}
    order = sorted(lines, key=lambda one: (one.score is None, (one.score or 0) * (1 if maximize is False else -1)))
    for i, one in enumerate(order):  # the best first
        known = one.score is not None
        styles[id(one)] = {
            "color": bar.to_rgba(one.score) if known else GREY,  # type: ignore[arg-type]
            "alpha": 0.9,
            "zorder": 2.1 + 0.1 * (1 - i / len(order)) if known else 2,
        }
        if len(lines) <= FEW:
            styles[id(one)]["linewidth"] = 1.5 + 3 * i / len(lines)
    entries, ends = [], {}
    if 1 < len(lines) <= FEW:
        for one in order:
            score = "" if one.score is None else f": {one.score:.4g}"
            many = f" ({one.jobs} jobs)" if one.jobs > 1 else ""
            ends[id(one)] = f"{design.label(one)}{score}{many}"
            entries.append((ends[id(one)], {"color": styles[id(one)]["color"]}))
    return Look(styles=styles, entries=entries, ends=ends)


def scores(values: Iterable[float | None], maximize: bool | None) -> ScalarMappable:
    """The colours of scores: the best is bright; a few that are far from all others have the colour at the end."""
    known = np.array([value for value in values if value is not None and is_score(value)])
    low, high = np.quantile(known, [0.25, 0.75])
    far = 5 * (high - low) or np.inf
    within = known[(known >= low - far) & (known <= high + far)]
    colors: Any = colormaps["viridis_r" if maximize is False else "viridis"].copy()
    least, greatest = known.min() < within.min(), known.max() > within.max()
    colors.colorbar_extend = ("both" if greatest else "min") if least else ("max" if greatest else "neither")
    return ScalarMappable(Normalize(within.min(), within.max()), colors)


def is_score(score: float | None) -> bool:
    """Whether it is a number that has a colour."""
    return score is not None and bool(np.isfinite(score))


def is_number(text: str) -> bool:
    """Whether an override's value is a finite number, or the values of several jobs are."""
    try:
        return all(np.isfinite(float(one)) for one in text.split(", "))
    except ValueError:
        return False


def number(text: str) -> float:
    """That number, or the first of them."""
    return float(text.partition(", ")[0])


def _wide(numbers: Sequence[float]) -> bool:
    return 0 < 20 * min(numbers) < max(numbers)


def ordered(values: Iterable[str]) -> list[str]:
    """Each value once, numbers by their size and anything else in the order in which it came."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=number) if all(map(is_number, once)) else once
