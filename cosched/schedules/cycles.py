"""Where each cycle begins and how long it is, in exact integers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from cosched.schedules.durations import MAX_EVENTS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


class Cycle(NamedTuple):
    """One cycle."""

    number: int  # from 0
    first: int  # its first event
    size: int  # annealing events
    warmup: int  # warm-up events after them


class Stretch(NamedTuple):
    """Cycles in a row whose lengths grow, or shrink, by the same number of events from each to the next."""

    number: int  # of its first cycle
    first: int  # the first event of that
    size: int  # annealing events of that
    warmup: int  # warm-up events of that
    more_size: int  # what each following cycle has more
    more_warmup: int
    total: int  # cycles in all

    def offset(self, j: Any) -> Any:
        """How many events lie between the beginnings of the stretch and of its cycle ``j``; integers, exactly."""
        return j * (self.size + self.warmup) + (self.more_size + self.more_warmup) * (j * (j - 1) // 2)

    def nth(self, j: int) -> Cycle:
        """Its cycle ``j``, from 0."""
        size, warmup = self.size + j * self.more_size, self.warmup + j * self.more_warmup
        return Cycle(self.number + j, self.first + self.offset(j), size, warmup)

    def at(self, step: int) -> Cycle:
        """The cycle of the event ``step``; events after the stretch count as its last cycle's."""
        position, more = step - self.first, self.more_size + self.more_warmup
        if not more:
            return self.nth(min(position // (self.size + self.warmup), self.total - 1))
        # The root of offset(j) = position, in floating point, is off by one at most.
        half = self.size + self.warmup - more / 2
        j = int(2 * position / (half + math.sqrt(max(half * half + 2 * more * position, 0.0))))
        j = min(j, self.total - 1)
        while j and self.offset(j) > position:
            j -= 1
        while j + 1 < self.total and self.offset(j + 1) <= position:
            j += 1
        return self.nth(j)


class Located(NamedTuple):
    """Some events and their cycles."""

    steps: Array  # the events; those after the end of the last cycle are that end
    position: Array  # of each event in its cycle
    number: Array | float  # of each cycle, from 0; a float where all are in one
    size: Array | float  # annealing events of each cycle
    warmup: Array | float  # warm-up events of each cycle
    spread: Callable[[Any], Any]  # makes of a value for each cycle one for each event


class Cycles:
    """The lengths of all cycles, in a table that grows with the last event asked for.

    A row of it is a stretch of cycles, so that slow growth, and none, need few rows: at most some 10**5 up to 2**53
    events. Threads share the table: one at a time appends to it, and all may read meanwhile.
    """

    def __init__(self, size: int, warmup: int, mult: float, limit: int | None) -> None:
        self._mult = mult
        self._least = min(size, 2)  # events of a cycle that is begun; those of one event are if all can be
        self._limit = MAX_EVENTS if limit is None else limit
        self._lock = Lock()
        self._stretches: list[Stretch] = []
        self._firsts: list[int] = []  # the first event of each stretch
        self._table: Any = ()  # the stretches as an array, made when it is needed
        self._next = Cycle(0, 0, size, warmup)  # what the next stretch begins with
        self._covered = 0  # the events below are in the table
        self._over: int | None = None  # the event at which the last cycle has annealed, once that is known
        self.restart = size + warmup  # the event at which the second cycle begins, or never where there is one only
        if self._limit == 1 or int(size * mult) < self._least:
            self.restart = MAX_EVENTS

    def _cover(self, event: int) -> None:
        """Let the table reach beyond ``event``."""
        if event >= self._covered:
            with self._lock:
                while event >= self._covered:
                    self._append()

    def _append(self) -> None:
        number, first, size, warmup = self._next
        count, more_size, more_warmup = self._alike(size, warmup)
        stretch = Stretch(number, first, size, warmup, more_size, more_warmup, min(count, self._limit - number))
        if count == 1:  # nothing is added then, but to what follows
            size, warmup = int(size * self._mult), int(warmup * self._mult)
            self._next = Cycle(number + 1, first + stretch.size + stretch.warmup, size, warmup)
        else:
            self._next = stretch.nth(stretch.total)
        ends = self._next.number >= self._limit or self._next.size < self._least
        if ends:
            last = stretch.nth(stretch.total - 1)
            self._over = last.first + last.size
        self._stretches.append(stretch)
        self._firsts.append(first)
        self._covered = MAX_EVENTS if ends else min(self._next.first, MAX_EVENTS)  # last: others read without the lock

    def _alike(self, size: int, warmup: int) -> tuple[int, int, int]:
        """How many cycles, from one of these lengths on, grow by the same numbers of events, and the numbers."""
        mult = self._mult
        more_size, more_warmup = int(size * mult) - size, int(warmup * mult) - warmup
        if not (more_size or more_warmup):
            return MAX_EVENTS, 0, 0
        # Between two powers of 2 the products are rounded alike: there the growth of a greater length is not less, and
        # lengths in between need not be tried. Close to 2**53 they would be rounded to whole numbers.
        highest = 2.0 ** math.frexp(size * mult)[1]
        highest_warmup = 2.0 ** math.frexp(warmup * mult)[1]
        if max(highest, highest_warmup) > 2**50:
            return 1, 0, 0

        def like(j: int) -> bool:
            s = size + j * more_size
            product = s * mult
            if s < self._least or int(product) - s != more_size or not highest / 2 <= product < highest:
                return False
            if not warmup:
                return True
            w = warmup + j * more_warmup
            product = w * mult
            return int(product) - w == more_warmup and highest_warmup / 2 <= product < highest_warmup

        if not like(1):
            return 1, 0, 0
        low, high = 1, 2
        while like(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if like(middle) else (low, middle)
        return low + 1, more_size, more_warmup

    def at(self, step: int) -> Cycle:
        """The cycle in which the event ``step`` is; what comes after the last cycle counts as its own."""
        self._cover(step)
        return self._stretches[bisect_right(self._firsts, step) - 1].at(step)

    def held(self, step: int) -> int:
        """The event whose value holds at ``step``: itself, or the end of the last cycle."""
        self._cover(step)
        return step if self._over is None else min(step, self._over)

    def nth(self, number: int) -> Cycle | None:
        """A cycle by its number (the first is 0), if it begins before the event 2**53."""
        while self._covered < MAX_EVENTS and number >= self._next.number:
            self._cover(self._covered)
        one = self._stretches[bisect_right(self._stretches, number, key=lambda one: one.number) - 1]
        found = one.nth(number - one.number)
        return found if number - one.number < one.total and found.first < MAX_EVENTS else None

    def between(self, first: Cycle, last: Cycle) -> tuple[Array, Array, Array, Array]:
        """From one cycle to another: the numbers, first events, annealing events and warm-up events."""
        import numpy as np

        low, high = (bisect_right(self._firsts, one.first) for one in (first, last))
        numbers = np.arange(first.number, last.number + 1)
        table = np.empty((3, len(numbers)))
        done = 0
        for one in self._stretches[low - 1 : high]:
            if one.total == 1:  # a length may be beyond 64 bits here
                table[:, done] = one.first, one.size, one.warmup
                done += 1
            else:
                j = numbers[done:] - one.number
                j = j[: one.total - j[0]]
                part = table[:, done : done + len(j)]
                part[0] = one.first + one.offset(j)
                part[1] = one.size + j * one.more_size
                part[2] = one.warmup + j * one.more_warmup
                done += len(j)
        return numbers.astype(np.float64), table[0], table[1], table[2]

    def locate(self, steps: Array) -> Located:
        """The cycles of the events ``steps``."""
        import numpy as np

        ascending = steps.size == 1 or bool((steps[1:] >= steps[:-1]).all())
        if not steps.size:
            low = high = 0
        else:
            low, high = (int(steps[0]), int(steps[-1])) if ascending else (int(steps.min()), int(steps.max()))
        a = self.at(low)
        b = a if low == high else self.at(high)
        if self._over is not None and high > self._over:
            steps = np.minimum(steps, self._over)
        position: Array
        numbers: Array | float
        sizes: Array | float
        warmups: Array | float
        spread: Callable[[Any], Any] = _itself
        if a.number == b.number:  # as for most runs of events
            numbers, sizes, warmups = float(a.number), float(a.size), float(a.warmup)
            position = steps - float(a.first)
        elif b.number - a.number < steps.size:
            numbers, starts, sizes, warmups = self.between(a, b)
            if ascending:
                counts = np.diff(np.searchsorted(steps, starts[1:]), prepend=0, append=steps.size)
                spread = _repeating(counts)
            else:
                spread = _picking(np.searchsorted(starts, steps, side="right") - 1)
            position = steps - spread(starts)
            if a.size == b.size:  # and so in between
                sizes = float(a.size)
            if a.warmup == b.warmup:
                warmups = float(a.warmup)
        else:
            numbers, starts, sizes, warmups = self._scattered(steps)
            position = steps - starts
        return Located(steps, position, numbers, sizes, warmups, spread)

    def _scattered(self, steps: Array) -> tuple[Array, Array, Array, Array]:
        """For each of some events, in any order: its cycle's number, first event, annealing and warm-up events."""
        import numpy as np

        if len(self._table) < len(self._stretches):
            self._table = np.array(self._stretches, dtype=np.float64)
        table = self._table.T
        row = np.searchsorted(table[1], steps, side="right") - 1
        number, first, size, warmup, *more = table[:, row]
        # As integers, and as no cycle follows another in a stretch of one, a length beyond 64 bits may be cut there.
        one = Stretch(*np.minimum(table, 2.0**61).astype(np.int64)[:, row])
        position, growth = steps.astype(np.int64) - one.first, more[0] + more[1]
        half = size + warmup - growth / 2
        root = np.sqrt(np.maximum(half * half + 2 * growth * position, 0))
        j = np.minimum((2 * position / (half + root)).astype(np.int64), one.total - 1)
        j -= one.offset(j) > position
        j += (one.offset(j + 1) <= position) & (j + 1 < one.total)
        return number + j, first + one.offset(j), size + j * more[0], warmup + j * more[1]

    def end(self, num_events: int) -> int | None:
        """The event before ``num_events`` at which the last cycle has annealed, if it is the last."""
        end = self.held(num_events)
        return end if end < num_events else None

    def starts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The first event of every cycle that begins before the event ``num_events``."""
        import numpy as np

        if num_events < 1:
            return np.empty(0, dtype=np.int64)
        return self.between(self.at(0), self.at(num_events - 1))[1].astype(np.int64)


def _itself(table: Any) -> Any:
    return table


def _repeating(counts: npt.NDArray[np.int64]) -> Callable[[Any], Any]:
    return lambda table: table if isinstance(table, float) else table.repeat(counts)


def _picking(index: npt.NDArray[np.int64]) -> Callable[[Any], Any]:
    return lambda table: table if isinstance(table, float) else table[index]


@lru_cache(maxsize=1024)
def cycles(size: int, warmup: int, mult: float, limit: int | None) -> Cycles:
    """The table for these numbers; schedules share it, and so hold nothing but their fields."""
    return Cycles(size, warmup, mult, limit)
