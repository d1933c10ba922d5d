"""The lines of what was applied in a run, on top of what was declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cosched.schedules.plotting import join, jumps, line
from cosched.sweeps.design import BLACK, PALETTE, Style

Columns = Sequence[Sequence[float]]  # for each iteration, a value for each line


def draw_lines(
    axes: Axes, iteration: int, declared: Columns, applied: Columns, restarts: Iterable[int], left: int, trunk: Style
) -> dict[str, Line2D]:
    """Draw the values of the iterations before ``iteration``, and return what a legend says of them.

    Before ``left`` what was ``applied`` is drawn alone, as a ``trunk``. ``restarts`` are where cycles begin.
    """
    events = np.arange(iteration - len(declared), iteration)
    first = int(np.searchsorted(events, left))
    begun = sorted({*restarts, left})
    wide = 5 if len(declared[0]) == 1 else 2.5
    entries: dict[str, Line2D] = {}
    for values, own in zip(np.array(declared).T, np.array(applied).T, strict=True):
        values[:first] = own[:first]
        jump = first in jumps(events, values, begun)
        after = first if jump else max(first - 1, 0)
        lines: list[Any] = [
            line(axes, events[after:], values[after:], begun, color=PALETTE[4], linewidth=wide),
            line(axes, events[after:], own[after:], begun, color=BLACK, linewidth=1),
        ]
        if first:
            lines.append(line(axes, events[:first], own[:first], events[:first].tolist(), **trunk))  # wherever it jumps
        if jump:
            lines[0][1].append([(left, values[first - 1]), (left, values[first])])
        join(axes, lines)
        entries |= zip(["declared", "applied", "the run before"], [drawn for drawn, _ in lines], strict=False)
    return entries
