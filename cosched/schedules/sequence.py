"""Schedules one after another, once or again and again: the arithmetic of `cosched.Phases`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cosched.schedules.intervals import Interval, hull, known, union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


class Span(NamedTuple):
    """A schedule in its own time, which begins at 0 with the event ``first`` of the whole."""

    schedule: Any  # a schedule, or `Rounds`
    first: int
    stop: float  # the event at which it is over; infinity: never


class Sequence:
    """Spans without gaps, from event 0 on; after the last one the value that it has reached holds."""

    def __init__(self, spans: list[Span]) -> None:
        self.spans = spans

    def values(self, steps: Array) -> Array:
        """The values at some events, in any order."""
        import numpy as np

        values = np.empty(steps.shape)
        for i, (one, first, stop) in enumerate(self.spans):
            chosen = (steps >= first) & (steps < stop)
            if chosen.any():
                values[chosen] = one._values(steps[chosen] - first)
            if i == len(self.spans) - 1 and stop < math.inf and (over := steps >= stop).any():
                values[over] = one._reached(int(stop) - first)
        return values

    def reached(self, duration: int) -> float:
        """The value that holds after so many events, at least one, if all then ends."""
        one, first, stop = [span for span in self.spans if span.first < duration][-1]
        return cast("float", one._reached(int(min(duration, stop)) - first))

    def bounds(self, events: range) -> Interval | None:
        """Bounds of the values at consecutive events; None: not known."""
        import numpy as np

        found: list[Interval | None] = []
        for one, first, stop in self.spans:
            if within := range(max(events.start, first), int(min(events.stop, stop))):
                found.append(one.bounds(range(within.start - first, within.stop - first)))
        over = events.stop - 1
        if not found or over >= stop:  # what is reached holds
            with np.errstate(all="ignore"):
                found.append(known(hull(self.values(np.array([float(over)])).item())))
        return None if None in found else known(union(*cast("list[Interval]", found)))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The events at which a span begins, or a cycle in one; 0 is a start, not a restart."""
        import numpy as np

        found = [np.empty(0, dtype=np.int64)]
        for one, first, stop in self.spans:
            within = int(min(num_events, stop)) - first
            if within > 0:
                found += [np.array([first] if first else [], dtype=np.int64), first + one.restarts(within)]
        return np.concatenate(found)

    def cycles(self, num_events: int) -> int:
        """How many cycles have begun before the event ``num_events``."""
        spans = [(one, first, int(min(num_events, stop))) for one, first, stop in self.spans if first < num_events]
        return sum(one.cycles(stop - first) for one, first, stop in spans)

    def runs(self, num_events: int) -> bool:
        """Whether, with the event before ``num_events``, a cycle has begun that has not ended."""
        one, first, stop = [span for span in self.spans if span.first < num_events][-1]
        return stop > num_events and one._runs(num_events - first)

    def cycle_bounds(self, events: range) -> Bounds:
        """By event index within ``events``, the cycles (numbered from 1) that begin there, and that end with it."""
        begun: dict[int, int] = {}
        ended: dict[int, int] = {}
        before = 0
        for one, first, stop in self.spans:
            within = range(max(events.start, first) - first, int(max(first, min(events.stop, stop))) - first)
            for mine, inner in zip((begun, ended), one.cycle_bounds(within), strict=True):
                mine |= {first + event: before + number for event, number in inner.items()}
            if stop == math.inf:
                break
            before += one.cycles(int(stop) - first)
            if int(stop) - 1 in events and one._runs(int(stop) - first):
                ended[int(stop) - 1] = before
        return begun, ended


class Rounds:
    """A sequence of ``period`` events, again and again without an end: the schedule of a span."""

    def __init__(self, once: Sequence, period: int) -> None:
        self.once, self.period = once, period

    def _values(self, steps: Array) -> Array:
        import numpy as np

        return self.once.values(np.fmod(steps, self.period))  # exact, as for integers

    def _reached(self, duration: int) -> float:
        return self.once.reached((duration - 1) % self.period + 1)

    def _runs(self, num_events: int) -> bool:
        return self.once.runs((num_events - 1) % self.period + 1)

    def _parts(self, events: range) -> list[tuple[int, range]]:
        """The rounds that some events are in: the first event of each, and its events, counted from there."""
        if not events:
            return []
        firsts = range(events.start - events.start % self.period, events.stop, self.period)
        return [(i, range(max(events.start - i, 0), min(events.stop - i, self.period))) for i in firsts]

    def bounds(self, events: range) -> Interval | None:  # noqa: D102  # as of a schedule
        if len(events) >= self.period:
            return self.once.bounds(range(self.period))
        found = [self.once.bounds(part) for _, part in self._parts(events)]  # two at most
        return None if None in found else union(*cast("list[Interval]", found))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102  # as of a schedule
        import numpy as np

        firsts = np.arange(0, num_events, self.period)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), self.once.restarts(min(self.period, num_events))])
        found: npt.NDArray[np.int64] = np.add.outer(firsts, starts).ravel()
        return found[(found > 0) & (found < num_events)]

    def cycles(self, num_events: int) -> int:  # noqa: D102  # as of a schedule
        rounds, rest = divmod(num_events, self.period)
        return (rounds * self.once.cycles(self.period) if rounds else 0) + self.once.cycles(rest)

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102  # as of a schedule
        begun: dict[int, int] = {}
        ended: dict[int, int] = {}
        each = self.once.cycles(self.period) if events.stop > self.period else 0
        for first, part in self._parts(events):
            before = first // self.period * each
            for mine, inner in zip((begun, ended), self.once.cycle_bounds(part), strict=True):
                mine |= {first + event: before + number for event, number in inner.items()}
        return begun, ended
