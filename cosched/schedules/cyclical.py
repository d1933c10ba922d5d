"""What all cyclical shapes share: restarts, multipliers, warm-up, a limit; the shapes are in ``annealing``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cosched.schedules.cycles import Cycles, cycles
from cosched.schedules.durations import MAX_EVENTS, Duration
from cosched.schedules.intervals import ROUNDING, Interval, hull, known, mixed, powers, times, union
from cosched.schedules.schedule import Schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


@dataclass(kw_only=True)
class CyclicalSchedule(Schedule):
    """Cycles that anneal from a start value to an end value, with restarts, multipliers, warm-up between, a limit.

    Cycle ``k`` anneals from ``S_k`` to ``E_k`` during ``L_k`` events, then warms up to ``S_{k+1}`` during ``W_k``::

        L_0 = cycle_size,  L_{k+1} = int(L_k * cycle_mult)          S_k = start_value * start_value_mult**k
        W_0 = warmup_duration,  W_{k+1} = int(W_k * cycle_mult)     E_k = end_value * end_value_mult**k
        value = E_k + (S_k - E_k) * remaining(p / L_k)              p < L_k events into the cycle
        value = E_k + (S_{k+1} - E_k) * (p - L_k) / W_k             L_k <= p < L_k + W_k

    ``remaining`` is what a shape is: 1 at the start of a cycle, 0 at its end. An event is whatever the schedule is
    bound to, an iteration or an epoch. A cycle that would shrink below 2 events is not begun. After the last cycle the
    value that it has reached holds, with no warm-up.

    Attributes:
        start_value: the value at the first event of the first cycle, in the parameter's own unit; null: the value
            that has been reached before, in a phase after another one or in a branch.
        end_value: the value that the first cycle anneals to, in the same unit.
        cycle_size: how many events the first cycle anneals, or with a unit (``10ep``, ``500it``, ``25%``): at least 2,
            or 1 with a ``start_value_mult`` or ``num_cycles``, for else it is its start value for ever.
        cycle_mult: the factor on the lengths of each following cycle, above 0; they are cut to whole events.
        start_value_mult: the factor on the start value of each following cycle.
        end_value_mult: the factor on the end value of each following cycle.
        warmup_duration: how many events the first cycle warms up after annealing, linearly up to the start value of
            the next cycle: at least 0, or with a unit.
        num_cycles: how many cycles there are, at least 1; after them the value holds. null: no limit.
        endpoint: true: the last annealing event of a cycle has the end value itself, as in `numpy.linspace`; false:
            the event after it would have.
        startpoint: true: the first event of a cycle has the start value itself; false: the event before it would have,
            so that the first event has moved already. In a warm-up from 0, no update is without effect. The fraction
            at ``p`` is then ``(p + 1) / (L + 1)``, and with ``endpoint`` ``(p + 1) / L``.
        amplitude_mult: the factor, for each following cycle, on the distance of the end value from the start value.
        amplitude_decay: the factor, for each event, on that distance.

    Raises:
        ValueError: a number is out of its range, or a text is not a duration; the message names the field.
        TypeError: a field holds something of another type.
    """

    start_value: float | None
    end_value: float
    cycle_size: Duration
    cycle_mult: float = 1.0
    start_value_mult: float = 1.0
    end_value_mult: float = 1.0
    warmup_duration: Duration = 0
    num_cycles: int | None = None
    endpoint: bool = False
    startpoint: bool = True
    amplitude_mult: float = 1.0
    amplitude_decay: float = 1.0

    def __post_init__(self) -> None:
        if type(self.cycle_size) is int and self.cycle_size == 1 and self._least["cycle_size"] == 2:
            raise ValueError(
                "cycle_size=1 must be a whole number of at least 2, for a cycle of one event has its start value "
                "only. To anneal within each epoch, count iterations: cycle_size='1ep' and "
                "event=ITERATION_STARTED. For a factor at each event, give start_value_mult"
            )
        super().__post_init__()
        if not 0 < self.cycle_mult < MAX_EVENTS:  # a greater one could leave float64's range with the first cycle
            raise ValueError(
                f"cycle_mult={self.cycle_mult} must be above 0 (and below 2**53): 1 keeps the length of every "
                "cycle, 2 doubles it"
            )
        size, warmup = self.cycle_size, self.warmup_duration
        if not isinstance(size, int) or self.cycle_mult == 1 or self.num_cycles == 1:
            return
        if int(size * self.cycle_mult) == size:
            restart = f" from event {size + warmup} on" if isinstance(warmup, int) else ""
            warnings.warn(
                f"cycle_mult={self.cycle_mult} has no effect{restart}: int({size} * {self.cycle_mult}) is {size} "
                f"again; use more than {1 + 1 / size:.6g}, or 1",
                stacklevel=3,
            )

    @property
    def _least(self) -> Mapping[str, int]:  # type: ignore[override]
        # Cycles of one event have their start values alone: a mistake, unless these differ or the cycles end.
        alike = self.num_cycles is None and self.start_value_mult == 1
        return {"cycle_size": 2 if alike else 1, "num_cycles": 1}

    @property
    def _cycles(self) -> Cycles:
        self._check_resolved()
        return self._limited(self.num_cycles)

    def _limited(self, limit: int | None) -> Cycles:
        return cycles(cast("int", self.cycle_size), cast("int", self.warmup_duration), self.cycle_mult, limit)

    def _values(self, steps: Array) -> Array:
        return self._located(steps, self._limited(self.num_cycles))

    def _reached(self, duration: int) -> float:
        import numpy as np

        table = self._cycles
        before = table.at(duration - 1)
        # As if the cycle that is running were the last one: at its end there is its end value and not a new start.
        # A warm-up that is running goes on to the next start, and where it is cut stays there.
        annealing = table.held(duration - 1) < before.first + before.size
        limited = self._limited(before.number + 1) if annealing else table
        return float(self._located(np.array([float(duration)]), limited)[0])

    def _located(self, steps: Array, table: Cycles) -> Array:
        import numpy as np

        steps, position, number, size, warmup, spread = table.locate(steps)
        # A power for each cycle, not for each event.
        start: Any = self.start_value
        end: Any = self.end_value
        if self.start_value_mult != 1:
            start = start * _powers(self.start_value_mult, number)
        if self.end_value_mult != 1:
            end = end * _powers(self.end_value_mult, number)
        if self.amplitude_mult != 1:
            end = start + (end - start) * _powers(self.amplitude_mult, number)
        start, end = spread(start), spread(end)
        if self.amplitude_decay != 1:
            decayed = np.power(self.amplitude_decay, steps)
            decayed *= end - start
            decayed += start
            end = decayed
        if not self.startpoint:
            x = (position + 1.0) / spread(size - self.endpoint + 1.0)
        elif self.endpoint:
            x = position / spread(np.maximum(size - 1.0, 1.0))  # that of one event has its start value, as in linspace
        else:
            x = position / spread(size)
        if self.endpoint or self.warmup_duration:
            np.minimum(x, 1.0, out=x)
        values: Array = self._between(start, end, x)
        if self.warmup_duration:
            late = np.flatnonzero(position > spread(size))
            if late.size:

                def of(table: Any) -> Any:
                    return table[late] if getattr(table, "size", 1) > 1 else table

                ramp = (position[late] - of(spread(size))) / of(spread(warmup))
                before = values[late]
                values[late] = before + (of(start) * self.start_value_mult - before) * ramp
        return values

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        table = self._cycles
        low, high = events[0], events[-1]
        plain = self.start_value_mult == self.end_value_mult == self.amplitude_mult == self.amplitude_decay == 1
        ramps = 0.0, float(bool(self.warmup_duration))
        if plain and low < table.restart <= high:  # all of the curve, whatever the lengths of its later cycles are
            return self._bounds(range(2), (0.0, 1.0), ramps, 0, 0)
        first, last = table.at(low), table.at(high)
        low, high = table.held(low), table.held(high)
        if first.number != last.number:
            return self._bounds(range(first.number, last.number + 1), (0.0, 1.0), ramps, low, high)
        begun = not self.startpoint
        length = max(first.size - self.endpoint + begun, 1)
        x = [min((event - first.first + begun) / length, 1.0) for event in (low, high)]
        ramp = [max(event - first.first - first.size, 0) / (first.warmup or 1) for event in (low, high)]
        return self._bounds(range(first.number, first.number + 1), (x[0], x[1]), (ramp[0], ramp[1]), low, high)

    def _bounds(self, numbers: range, x: Interval, ramp: Interval, low: int, high: int) -> Interval | None:
        """Those of the cycles ``numbers``, between two fractions of their annealing and of their warm-up.

        ``low`` and ``high`` are the first and the last event.
        """
        start, end = hull(cast("float", self.start_value)), hull(self.end_value)
        start = times(start, powers(self.start_value_mult, numbers[0], numbers[-1]))
        end = times(end, powers(self.end_value_mult, numbers[0], numbers[-1]))
        if self.amplitude_mult != 1:
            end = mixed(start, end, powers(self.amplitude_mult, numbers[0], numbers[-1]))
        if self.amplitude_decay != 1:
            end = mixed(start, end, powers(self.amplitude_decay, low, high))
        found = [self._enclosed(start, end, x)]
        if ramp[1]:
            before, following = self._enclosed(start, end, (1.0, 1.0)), times(start, hull(self.start_value_mult))
            found = found if x[0] < 1 else []
            found.append(before and mixed(before, following, ramp))
        return None if None in found else known(union(*cast("list[Interval]", found)))

    def _enclosed(self, start: Interval, end: Interval, x: Interval) -> Interval | None:
        """Bounds of `_between`, for start values, end values and fractions within bounds; None: not known."""
        remaining = self._remains(*x)
        return None if remaining is None else mixed(end, start, remaining)

    def _remains(self, low: float, high: float) -> Interval | None:
        """Bounds, within 0 and 1, of `_remaining` from one fraction to another; None: not known."""
        return None

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        return self._cycles.starts(num_events)[1:]

    def cycles(self, num_events: int) -> int:  # noqa: D102
        return self._cycles.at(num_events - 1).number + 1 if num_events else 0

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        table = self._cycles
        if not events:
            return {}, {}
        numbers, starts, sizes, _ = table.between(table.at(events[0]), table.at(events[-1]))

        def within(found: Array) -> dict[int, int]:
            pairs = zip(found.astype(int).tolist(), numbers.astype(int).tolist(), strict=True)
            return {event: number + 1 for event, number in pairs if event in events}

        return within(starts), within(starts + sizes - 1)

    def _runs(self, num_events: int) -> bool:
        one = self._cycles.at(num_events - 1)
        return num_events < one.first + one.size

    def nth_cycle(self, cycle: int) -> tuple[int, int, int] | None:
        """The first event, annealing events and warm-up events of a cycle (the first is 0), if there is one."""
        found = self._cycles.nth(cycle)
        return found and (found.first, found.size, found.warmup)

    def holds_from(self, num_events: int) -> int | None:
        """The event below ``num_events`` at which the last cycle is over and its final value holds, if there is one."""
        return self._cycles.end(num_events)

    def _between(self, start: Any, end: Any, x: Array) -> Array:
        """The values at the fractions ``x`` of a cycle's length."""
        import numpy as np

        if isinstance(start, float) and isinstance(end, float) and math.isinf(start - end):  # what is between is finite
            return 2 * self._between(start / 2, end / 2, x)
        remaining = self._remaining(x)
        if remaining.size == 1 and isinstance(start, float) and isinstance(end, float):  # the same, and quicker
            part = remaining.item()
            return np.array([start if part == 1.0 else part * (start - end) + end])
        values: Array = remaining * (start - end)
        values += end
        # end + (start - end) can miss start by rounding; a cycle that begins, begins exactly there.
        if (begins := remaining == 1.0).any():
            np.copyto(values, start, where=begins)
        return values

    def _remaining(self, x: Array) -> Array:
        """What part of the distance from start (1) to end value (0) remains at the fraction ``x`` of a cycle."""
        raise NotImplementedError


def _powers(base: float, exponents: Array | float) -> Array:
    import numpy as np

    # NumPy's powers of scalars may differ in the last bit from those of arrays.
    powers: Array = np.power(base, np.array([exponents]) if isinstance(exponents, float) else exponents)
    return powers


def falling(shape: CyclicalSchedule, low: float, high: float) -> Interval:
    """Bounds of ``shape._remaining``, which nowhere rises."""
    import numpy as np

    greatest, least = shape._remaining(np.array([low, high])).tolist()
    return max(least - ROUNDING, 0.0), min(greatest + ROUNDING, 1.0)
