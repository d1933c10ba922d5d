"""Schedules: pure functions of the event index, with no optimizer, no torch and no counter.

A schedule is a plain dataclass whose fields are also the schema that Hydra shows and checks (``cosched.config``),
so every Hydra app in the environment imports this module at start. NumPy therefore loads at the first value.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any

from cosched.hints import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_EVENTS = 2**53  # event counts up to here are exact in float64, so positions can be computed there


@dataclass(kw_only=True)
class CyclicalSchedule:
    """What every cyclical shape shares: restarts, multipliers, warm-up between cycles, a limit.

    Cycle ``k`` anneals from ``S_k`` to ``E_k`` during ``L_k`` events, then warms up to ``S_{k+1}`` during ``W_k``::

        L_0 = cycle_size,  L_{k+1} = int(L_k * cycle_mult)          S_k = start_value * start_value_mult**k
        W_0 = warmup_duration,  W_{k+1} = int(W_k * cycle_mult)     E_k = end_value * end_value_mult**k
        value = S_k + (E_k - S_k) * shape(p / L_k)                  p < L_k events into the cycle
        value = E_k + (S_{k+1} - E_k) * (p - L_k) / W_k             L_k <= p < L_k + W_k

    An event is whatever the schedule is bound to, an iteration or an epoch. A cycle that would shrink below 2 events
    is not begun. After the last cycle its final value holds, with no warm-up. Instances cannot be modified.

    Raises:
        ValueError: a number is not finite or out of its field's range.
        TypeError: a field holds something that is not a number of its kind.
    """

    start_value: float  # value at the first event of the first cycle, in the parameter's own unit
    end_value: float  # value that the first cycle anneals to
    cycle_size: int  # events in the first cycle, at least 2
    cycle_mult: float = 1.0  # factor on the length of each following cycle, above 0; lengths are cut to whole events
    start_value_mult: float = 1.0  # factor on the start value of each following cycle
    end_value_mult: float = 1.0  # factor on the end value of each following cycle
    warmup_duration: int = 0  # events between two cycles, linear from the end value to the next start value
    num_cycles: int | None = None  # cycles to run before the value holds, at least 1; null: no limit
    endpoint: bool = False  # true: the last annealing event of a cycle has the end value itself, as numpy.linspace

    def __post_init__(self) -> None:
        for name in ("start_value", "end_value", "start_value_mult", "end_value_mult"):
            setattr(self, name, _number(name, getattr(self, name)))
        self.cycle_mult = _number("cycle_mult", self.cycle_mult)
        if self.cycle_mult <= 0:
            raise ValueError(
                f"cycle_mult={self.cycle_mult} must be above 0: 1 keeps the length of every cycle, 2 doubles it"
            )
        self.cycle_size = _count("cycle_size", self.cycle_size, 2)
        self.warmup_duration = _count("warmup_duration", self.warmup_duration, 0)
        if self.num_cycles is not None:
            self.num_cycles = _count("num_cycles", self.num_cycles, 1)
        self._cycles = _Cycles(self.cycle_size, self.warmup_duration, self.cycle_mult, self.num_cycles)
        if self.cycle_mult != 1 and self.num_cycles != 1 and int(self.cycle_size * self.cycle_mult) == self.cycle_size:
            warnings.warn(
                f"cycle_mult={self.cycle_mult} has no effect: int({self.cycle_size} * {self.cycle_mult}) is "
                f"{self.cycle_size} again; use more than {1 + 1 / self.cycle_size:.6g}, or 1",
                stacklevel=3,
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if "_cycles" in vars(self):
            names = [field.name for field in fields(self)]
            if name not in names:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}: {did_you_mean(name, names)}")
            raise AttributeError(f"a schedule cannot be modified: make another, dataclasses.replace(it, {name}=...)")
        super().__setattr__(name, value)

    def __call__(self, step: int) -> float:
        """The value at event index ``step`` (the first event is 0), in time that does not depend on ``step``."""
        return float(self.values([step])[0])

    def values(self, steps: npt.ArrayLike | range) -> npt.NDArray[np.float64]:
        """The values at the event indices ``steps`` (integers from 0 to 2**53 - 1), an array of the same shape.

        A multiplier that overflows float64 gives ``inf`` or ``nan`` from that cycle on; a bound scheduler refuses it.
        """
        import numpy as np

        indices = _event_indices(steps)
        with np.errstate(over="ignore", invalid="ignore"):
            cycle, position, size, warmup = self._cycles.locate(indices.ravel())
            start: float | npt.NDArray[np.float64] = self.start_value
            end: float | npt.NDArray[np.float64] = self.end_value
            if self.start_value_mult != 1:  # a power costs more than all the rest
                start = start * np.power(self.start_value_mult, cycle)
            if self.end_value_mult != 1:
                end = end * np.power(self.end_value_mult, cycle)
            shape = self._shape(np.minimum(position / (size - self.endpoint), 1.0))
            # start + (end - start) can miss end by rounding; a cycle that ends, ends exactly there.
            values = np.where(shape == 1.0, end, start + (end - start) * shape)
            if self.warmup_duration:
                ramp = np.maximum(position - size, 0.0) / np.maximum(warmup, 1.0)
                values += (start * self.start_value_mult - values) * ramp
        return values.reshape(indices.shape)

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The event indices below ``num_events`` at which a new cycle begins, ascending; 0 is a start, no restart."""
        return self._cycles.starts(num_events)[1:]

    def cycles(self, num_events: int) -> int:
        """How many cycles have begun before the event ``num_events``."""
        import numpy as np

        return int(self._cycles.locate(np.array([num_events - 1.0]))[0][0]) + 1 if num_events else 0

    def holds_from(self, num_events: int) -> int | None:
        """The event below ``num_events`` at which the last cycle is over and its final value holds, if there is one."""
        return self._cycles.end(num_events)

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far from the start value (0) to the end value (1) a cycle is at the fraction ``x`` of its length."""
        raise NotImplementedError


@dataclass(kw_only=True)
class CosineAnnealing(CyclicalSchedule):
    """Anneals from start to end value along half a cosine wave, then restarts: ``shape(x) = (1 - cos(pi * x)) / 2``.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (ICLR 2017), equation 5.
    """

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import numpy as np

        return (1.0 - np.cos(np.pi * x)) / 2.0


@dataclass(kw_only=True)
class LinearCyclical(CyclicalSchedule):
    """Moves linearly from start to end value and back within each cycle: ``shape(x) = 1 - abs(2 * x - 1)``.

    With ``monotonic`` it only moves there, ``shape(x) = x``; a warm-up between cycles needs that.
    Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.
    """

    monotonic: bool = False  # true: one linear move from start to end value per cycle, no way back

    def __post_init__(self) -> None:
        if self.warmup_duration and not self.monotonic:
            raise ValueError(
                f"warmup_duration={self.warmup_duration} needs monotonic=True, for a triangle ends where the next one "
                "starts: set monotonic=True or warmup_duration=0"
            )
        super().__post_init__()

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return x if self.monotonic else 1.0 - abs(2.0 * x - 1.0)


class _Cycles:
    """Where each cycle begins and how long it is, in exact integers; the table grows with the last event asked for.

    Once truncation makes a cycle as long as the one before, all later ones are, so the last row stands for them.
    """

    def __init__(self, size: int, warmup: int, mult: float, limit: int | None) -> None:
        self._rows = [(0, size, warmup)]  # first event, annealing events, warm-up events
        self._mult = mult
        self._count: float = math.inf if limit is None else limit  # cycles in all
        self._repeats = False

    def _table(self, last: float) -> npt.NDArray[np.float64]:
        """The rows, as columns, of at least every cycle that begins at or before the event ``last``."""
        import numpy as np

        while not self._repeats and len(self._rows) < self._count:
            first, size, warmup = self._rows[-1]
            if first + size > 2 * last:  # twice, so that walking along the events extends rarely
                break
            following = int(size * self._mult), int(warmup * self._mult)
            if following[0] < 2:
                self._count = len(self._rows)
            elif following == (size, warmup):
                self._repeats = True
            else:
                self._rows.append((first + size + warmup, *following))
        return np.array(self._rows, dtype=np.float64).T

    def locate(self, steps: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
        """For each event: its cycle, its position there, the cycle's annealing events and its warm-up events."""
        import numpy as np

        first, size, warmup = self._table(steps.max(initial=0.0))
        row = np.searchsorted(first, steps, side="right") - 1
        size, warmup, position = size[row], warmup[row], steps - first[row]
        # The quotient of integers below 2**53 never rounds up to the next whole number, so its floor is exact.
        repeats = np.floor(position / (size + warmup))
        cycle = row + repeats
        position -= repeats * (size + warmup)
        if math.isfinite(self._count):
            last = self._count - 1
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


def _event_indices(steps: npt.ArrayLike | range) -> npt.NDArray[np.float64]:
    import numpy as np

    array = np.arange(steps.start, steps.stop, steps.step) if isinstance(steps, range) else np.asarray(steps)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= MAX_EVENTS):
        raise ValueError(f"steps={steps!r} must be event indices: integers from 0 to 2**53 - 1")
    return array.astype(np.float64)


def _plain(value: Any) -> Any:
    """``value`` as the Python number in it, where it is a NumPy scalar or a tensor of one element."""
    return value.item() if hasattr(value, "item") else value


def _number(field: str, value: Any) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{field}={value!r} is not a number: give a finite float")
    if not math.isfinite(value):
        raise ValueError(f"{field}={value} is not finite: give a finite number")
    return float(value)


def _count(field: str, value: Any, least: int) -> int:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{field}={value!r} is not a number of events: give a whole number of at least {least}")
    if not isinstance(value, int) or not least <= value < MAX_EVENTS:
        raise ValueError(f"{field}={value} must be a whole number of at least {least} (and below 2**53)")
    return value
