"""Panels of what jobs returned: against the keys that were swept, and against how long was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from cosched.sweeps.design import GREY, PALETTE, is_number, is_score, ordered, scores
from cosched.sweeps.jobs import differing, names
from cosched.sweeps.text import shown

MISSING = "not given"  # an override that a job does not have
Point = tuple[Mapping[str, str], int, float]  # the overrides of a job, how many iterations it has, what it returned


class Outcome(NamedTuple):
    """What came of a job."""

    overrides: Mapping[str, str]
    score: float | None  # None: it returned no number, or has failed
    said: str  # in short


def draw_results(part: Any, keys: Sequence[str], results: Sequence[Outcome], maximize: bool | None) -> None:
    """What came of the values of the keys that were swept: of two of them a map, else points or bars for each."""
    if len(keys) == 2:
        _draw_map(part, keys, results, maximize)
        return
    for key, axes in zip(keys, part.subplots(1, min(len(keys), 4), sharey=True, squeeze=False)[0], strict=False):
        _draw_points(axes, key, results)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("returned value")


def _draw_points(axes: Axes, key: str, results: Sequence[Outcome]) -> None:
    columns = ordered(one.overrides.get(key, "") for one in results)
    numeric = all(map(is_number, columns))
    at = {name: float(name) if numeric else i for i, name in enumerate(columns)}
    known: list[Any] = [one for one in results if is_score(one.score)]
    axes.plot([at[one.overrides.get(key, "")] for one in known], [one.score for one in known], "o", color=PALETTE[0])
    lost: dict[str, list[str]] = {}
    for one in results:
        if not is_score(one.score):
            lost.setdefault(one.overrides.get(key, ""), []).append(one.said)
    for name, said in lost.items():
        axes.axvline(at[name], color=GREY, linestyle=":", linewidth=1)
        text = ", ".join(dict.fromkeys(said))
        axes.annotate(text, (at[name], 0.5), xycoords=("data", "axes fraction"), rotation=90, color="#606060")
    if not numeric:
        axes.set_xticks(range(len(columns)), [shown(name or MISSING, 20) for name in columns])
        axes.margins(x=0.1)
    elif 0 < 20 * min(at.values()) < max(at.values()):
        axes.set_xscale("log")
    axes.set_xlabel(shown(key))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_map(part: Any, keys: Sequence[str], results: Sequence[Outcome], maximize: bool | None) -> None:
    axes = part.subplots()
    columns, rows = (ordered(one.overrides.get(key, "") for one in results) for key in keys)
    bar = scores((one.score for one in results), maximize)
    table = np.full((len(rows), len(columns)), np.nan)
    for one in results:
        column, row = (found.index(one.overrides.get(key, "")) for found, key in ((columns, keys[0]), (rows, keys[1])))
        known = one.score is not None and is_score(one.score)
        table[row, column] = one.score if known else np.nan
        if len(rows) * len(columns) <= 100:
            dark = known and np.mean(bar.to_rgba(one.score)[:3]) <= 0.45  # type: ignore[arg-type]
            color = "#606060" if not known else "white" if dark else "black"
            axes.text(column, row, f"{one.score:.4g}" if known else one.said, ha="center", va="center", color=color)
    axes.imshow(bar.to_rgba(np.ma.masked_invalid(table)), origin="lower", aspect="auto")
    axes.set(xlabel=shown(keys[0]), ylabel=shown(keys[1]))
    axes.set_xticks(range(len(columns)), [shown(name or MISSING) for name in columns])
    axes.set_yticks(range(len(rows)), [shown(name or MISSING) for name in rows])


def draw_budgets(part: Any, points: Sequence[Point]) -> Axes:
    """What came of how much training, one point per job; jobs that differ in nothing else are joined by a line.

    Keys that say no more than how long was trained, as where a branch leaves, tell no lines apart.
    """
    axes: Axes = part.subplots()
    keys = [key for key in differing([overrides for overrides, *_ in points]) if not _says_how_long(key, points)]
    groups: dict[str, list[Point]] = {}
    called = names(keys)
    for one in points:
        name = " ".join(f"{called[key]}={one[0].get(key, '')}" for key in keys)
        groups.setdefault(name, []).append(one)
    for i, (name, group) in enumerate(groups.items()):
        group = sorted(group, key=lambda one: one[1])
        budgets, values = [one[1] for one in group], [one[2] for one in group]
        color = PALETTE[i] if len(groups) <= len(PALETTE) else GREY
        axes.plot(budgets, values, "o-", color=color, linewidth=0.9, alpha=0.9, label=shown(name))
    if 1 < len(groups) <= len(PALETTE):
        part.legend(loc="outside right upper", fontsize="small", frameon=False)
    return axes


def _says_how_long(key: str, points: Sequence[Point]) -> bool:
    budgets: dict[str, set[int]] = {}
    for overrides, budget, _ in points:
        budgets.setdefault(overrides.get(key, ""), set()).add(budget)
    return all(len(one) == 1 for one in budgets.values()) and len(set.union(*budgets.values())) > 1
