"""Panels of what jobs returned: against the keys that were swept, and against how long was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cosched.sweeps.design import GREY, PALETTE, is_number, is_score, last, ordered, scores
from cosched.sweeps.jobs import differing
from cosched.sweeps.text import shown

Point = tuple[Mapping[str, str], int, float]  # the overrides of a job, how many iterations it has, what it returned


def draw_results(
    part: Any,
    keys: Sequence[str],
    results: Sequence[tuple[Mapping[str, str], float | None]],
    maximize: bool | None,
) -> None:
    """What came of the values of one key, or of two: points, bars, or a map."""
    axes = part.subplots()
    axes.set_xlabel(shown(keys[0]))
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
            axes.set_xticks(range(len(columns)), [shown(name) for name in columns])
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
    axes.set_ylabel(shown(keys[1]))
    axes.set_xticks(range(len(columns)), [shown(name) for name in columns])
    axes.set_yticks(range(len(rows)), [shown(name) for name in rows])
    part.colorbar(bar, ax=axes, label="returned value", pad=0.01)
    for (row, column), value in np.ndenumerate(table):
        if there[row, column] and table.size <= 100:
            failed = not np.isfinite(value)
            color = "#606060" if failed else "black" if np.mean(bar.to_rgba(value)[:3]) > 0.45 else "white"
            axes.text(column, row, "failed" if failed else f"{value:.4g}", ha="center", va="center", color=color)


def draw_budgets(part: Any, points: Sequence[Point]) -> Axes:
    """What came of how much training, one point per job; jobs that differ in nothing else are joined by a line.

    Keys that say no more than how long was trained, as where a branch leaves, tell no lines apart.
    """
    axes: Axes = part.subplots()
    keys = [key for key in differing([overrides for overrides, *_ in points]) if not _says_how_long(key, points)]
    groups: dict[str, list[Point]] = {}
    for one in points:
        name = " ".join(f"{last(key)}={one[0].get(key, '')}" for key in keys)
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
