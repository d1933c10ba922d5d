"""Where each cycle begins and how long it is, in exact integers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cosched.schedules.durations import MAX_EVENTS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Cycles:
    """The lengths of all cycles, in a table that grows with the last event asked for.

    Once truncation makes a cycle as long as the one before, all later ones are, so the last row stands for them.
    """

    def __init__(self, size: int, warmup: int, mult: float, limit: int | None) -> None:
        self._rows = [(0, size, warmup)]  # first event, annealing events, warm-up events
        self._columns: npt.NDArray[np.float64] | None = None
        self._mult = mult
        self._count: float = math.inf if limit is None else limit  # cycles in all
        self._repeats = False

    def _grow(self) -> bool:
        """Append the next cycle, if there is another one that differs from the last."""
        first, size, warmup = self._rows[-1]
        following = int(size * self._mult), int(warmup * self._mult)
        if self._repeats or len(self._rows) >= self._count:
            return False
        if following[0] < 2:
            self._count = len(self._rows)
        elif following == (size, warmup):
            self._repeats = True
        else:
            self._rows.append((first + size + warmup, *following))
            return True
        return False

    def _table(self, last: float) -> npt.NDArray[np.float64]:
        """The rows, as columns, of at least every cycle that begins at or before the event ``last``."""
        import numpy as np

        # Twice, so that walking along the events extends rarely.
        while self._rows[-1][0] + self._rows[-1][1] <= 2 * last and self._grow():
            pass
        if self._columns is None or self._columns.shape[1] < len(self._rows):
            self._columns = np.array(self._rows, dtype=np.float64).T
        return self._columns

    def nth(self, cycle: int) -> tuple[int, int, int] | None:
        """The first event, the annealing events and the warm-up events of a cycle (the first is 0), if there is one."""
        while len(self._rows) <= cycle and self._rows[-1][0] < MAX_EVENTS and self._grow():
            pass
        if cycle >= self._count or (len(self._rows) <= cycle and not self._repeats):
            return None
        first, size, warmup = self._rows[min(cycle, len(self._rows) - 1)]
        return first + max(0, cycle - len(self._rows) + 1) * (size + warmup), size, warmup

    def locate(self, steps: npt.NDArray[np.float64]) -> tuple[Any, ...]:
        """For each event: its cycle, its position there, the cycle's annealing events and its warm-up events.

        All but the position are arrays of one where they are the same for all events, as for most runs of events: half
        of the time goes into looking them up.
        """
        import numpy as np

        low, high = (steps.min(), steps.max()) if steps.size else (0.0, 0.0)
        first, size, warmup = self._table(high)
        row = np.searchsorted(first, (low, high), side="right") - 1
        # One row as an array of one: NumPy's powers of scalars may differ in the last bit from those of arrays.
        row = row[1:] if row[0] == row[1] else np.searchsorted(first, steps, side="right") - 1
        first, size, warmup, cycle = first[row], size[row], warmup[row], row
        position = steps - first
        if high >= sum(self._rows[-1]):  # only the last row stands for more than one cycle
            # The quotient of integers below 2**53 never rounds up to the next whole number, so its floor is exact.
            repeats = np.floor(position / (size + warmup))
            cycle = row + repeats
            position -= repeats * (size + warmup)
        last = self._count - 1
        if np.max(cycle, initial=0) >= last:
            position = np.where(cycle < last, position, np.where(cycle > last, size, np.minimum(position, size)))
            cycle = np.minimum(cycle, last)
        return cycle, position, size, warmup

    def end(self, num_events: int) -> int | None:
        """The event before ``num_events`` at which the last cycle has annealed, if it is the last."""
        self._table(num_events)
        more = self._count - len(self._rows)
        if math.isinf(more) or (more and not self._repeats):
            return None
        first, size, warmup = self._rows[-1]
        end = int(first + more * (size + warmup) + size)
        return end if end < num_events else None

    def starts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The first event of every cycle that begins before the event ``num_events``."""
        import numpy as np

        first, size, warmup = self._table(num_events)
        if self._repeats:
            period = size[-1] + warmup[-1]
            first = np.concatenate([first, np.arange(first[-1] + period, num_events, period)])
        if math.isfinite(self._count):
            first = first[: int(self._count)]
        starts: npt.NDArray[np.int64] = first[first < num_events].astype(np.int64)
        return starts


@lru_cache(maxsize=1024)
def cycles(size: int, warmup: int, mult: float, limit: int | None) -> Cycles:
    """The table for these numbers; schedules share it, and so hold nothing but their fields."""
    return Cycles(size, warmup, mult, limit)
