"""What a reader tells a sweep's curves apart by: colours, dashes, axes of their own, or the scores of the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize

from cosched.schedules.durations import Event
from cosched.sweeps.curves import Curve
from cosched.sweeps.jobs import differing, ranges
from cosched.sweeps.text import short

# Okabe & Ito 2008, told apart by colour-blind readers too; yellow left out, for it is faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#202020", "#8C8C8C")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)))
BLACK, GREY = "#202020", "#B0B0B0"
FEW = 12  # curves in one panel that a reader can tell apart

Style = dict[str, Any]  # what `axes.plot` takes


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve of a sweep, as it is drawn.

    Attributes:
        curve: the schedule over its run.
        label: what tells its job from the others.
        overrides: those of its job.
        score: what its job returned; None: nothing, or it has failed.
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
        color: by which lines are coloured; None: by their labels.
        dash: by which they are dashed, if by one.
        facets: by whose values they stand in axes of their own.
        scaled: whether the colours are a scale of numbers.
    """

    color: str | None = None
    dash: str | None = None
    facets: tuple[str, ...] = ()
    scaled: bool = False

    def facet(self, line: Line) -> str:
        """What stands above the axes in which a line is."""
        return ", ".join(f"{last(key)}={line.named(key)}" for key in self.facets)


@dataclass(kw_only=True)
class Look:
    """How each line is drawn, and what explains it.

    Attributes:
        styles: by the id of each line.
        entries: what a legend says, and how that is drawn.
        title: what stands above them.
        bar: or the scale of the colours.
        bar_title: what the scale is of.
    """

    styles: dict[int, Style]
    entries: list[tuple[str, Style]] = field(default_factory=list)
    title: str = ""
    bar: ScalarMappable | None = None
    bar_title: str = ""


def designed(lines: Sequence[Line]) -> Design:
    """The keys for colours, dashes and axes of their own with which the fewest axes hold all lines legibly."""
    keys = differing([one.overrides for one in lines])
    values = {key: {one.named(key) for one in lines} for key in keys}
    found: list[tuple[int, bool, bool, int, Design]] = []
    for color in keys:
        scaled = len(values[color]) > len(PALETTE)
        if scaled and not all(map(is_number, values[color])):
            continue
        for dash in [None, *(key for key in keys if key != color and len(values[key]) <= len(DASHES))]:
            design = Design(color, dash, tuple(key for key in keys if key not in (color, dash)), scaled)
            counts = Counter((one.curve.path, design.facet(one)) for one in lines)
            facets = len({facet for _, facet in counts})
            if facets <= FEW and (max(counts.values()) <= FEW or (scaled and dash is None)):
                found.append((facets, scaled, dash is not None, len(found), design))
    best = min(found, default=None)
    if best is None or (best[0] > 1 and len({one.label for one in lines}) <= len(PALETTE)):
        return Design()
    return best[-1]


def look(lines: Sequence[Line], design: Design) -> Look:
    """How lines are drawn by their overrides."""
    names = ordered(one.named(design.color) for one in lines)
    viridis, bar = colormaps["viridis"], None
    if design.scaled:
        numbers = [float(name) for name in names]
        wide = 0 < 50 * min(numbers) < max(numbers)
        bar = ScalarMappable((LogNorm if wide else Normalize)(min(numbers), max(numbers)), viridis)
        colors: dict[str, Any] = {name: bar.to_rgba(float(name)) for name in names}  # type: ignore[arg-type]
    elif len(names) <= len(PALETTE):
        colors = dict(zip(names, PALETTE, strict=False))
    else:
        colors = {name: viridis(i / len(names)) for i, name in enumerate(names)}
    dashes = (
        {} if design.dash is None else dict(zip(ordered(one.named(design.dash) for one in lines), DASHES, strict=False))
    )
    styles = {
        id(one): {
            "color": colors[one.named(design.color)],
            "linestyle": dashes[one.named(design.dash)] if dashes else "-",
            "alpha": 0.9,
        }
        for one in lines
    }
    said = last(design.color or "")
    if bar is not None:
        return Look(styles=styles, bar=bar, bar_title=said)
    alone = bool(said) and not dashes  # one key, said once
    prefix = f"{said}=" if said and not alone else ""
    entries = [(prefix + name, {"color": color}) for name, color in colors.items()]
    entries += [
        (f"{last(str(design.dash))}={name}", {"color": BLACK, "linestyle": dash}) for name, dash in dashes.items()
    ]
    if said == "" and len(entries) > 2 * FEW:
        entries = []  # the table tells them apart
    return Look(styles=styles, entries=entries, title=said if alone else "")


def by_score(lines: Sequence[Line], maximize: bool | None) -> Look:
    """How lines are drawn by what their jobs returned, the best ones on top; what has no score hides nothing."""
    bar = scores([one.score for one in lines], maximize)
    styles: dict[int, Style] = {}
    for one in lines:
        if is_score(one.score):
            part = float(bar.norm(one.score))  # type: ignore[arg-type]
            best = part if maximize is not False else 1 - part
            styles[id(one)] = {"color": bar.to_rgba(one.score), "alpha": 0.9, "zorder": 2.1 + best}  # type: ignore[arg-type]
        else:
            styles[id(one)] = {"color": GREY, "alpha": 0.9, "zorder": 2}
    best_is = {True: " (greatest is best)", False: " (least is best)", None: ""}[maximize]
    return Look(styles=styles, bar=bar, bar_title=f"returned value{best_is}")


def scores(values: Iterable[float | None], maximize: bool | None) -> ScalarMappable:
    """The colours of scores: the best is bright."""
    known = [value for value in values if value is not None and is_score(value)]
    return ScalarMappable(Normalize(min(known), max(known)), "viridis_r" if maximize is False else "viridis")


def is_score(score: float | None) -> bool:
    """Whether it is a number that has a colour."""
    return score is not None and bool(np.isfinite(score))


def is_number(text: str) -> bool:
    """Whether an override's value is a finite number."""
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def ordered(values: Iterable[str]) -> list[str]:
    """Each value once, numbers by their size and anything else in the order in which it came."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=float) if all(map(is_number, once)) else once


def last(key: str) -> str:
    """The last name of a dotted key."""
    return key.rpartition(".")[2]
