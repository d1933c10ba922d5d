"""The cyclical shapes: a formula each, over what all of them share: restarts, multipliers, warm-up, a limit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from cosched.schedules.cycles import Cycles, cycles
from cosched.schedules.durations import MAX_EVENTS, Duration
from cosched.schedules.registry import register
from cosched.schedules.schedule import Schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


@dataclass(kw_only=True)
class CyclicalSchedule(Schedule):
    """What every cyclical shape shares: restarts, multipliers, warm-up between cycles, a limit.

    Cycle ``k`` anneals from ``S_k`` to ``E_k`` during ``L_k`` events, then warms up to ``S_{k+1}`` during ``W_k``::

        L_0 = cycle_size,  L_{k+1} = int(L_k * cycle_mult)          S_k = start_value * start_value_mult**k
        W_0 = warmup_duration,  W_{k+1} = int(W_k * cycle_mult)     E_k = end_value * end_value_mult**k
        value = E_k + (S_k - E_k) * remaining(p / L_k)              p < L_k events into the cycle
        value = E_k + (S_{k+1} - E_k) * (p - L_k) / W_k             L_k <= p < L_k + W_k

    An event is whatever the schedule is bound to, an iteration or an epoch. A cycle that would shrink below 2 events
    is not begun. After the last cycle its final value holds, with no warm-up. Instances cannot be modified.
    """

    start_value: float  # value at the first event of the first cycle, in the parameter's own unit
    end_value: float  # value that the first cycle anneals to
    cycle_size: Duration  # events in the first cycle, at least 2; or with a unit: 10ep, 500it, 25%
    cycle_mult: float = 1.0  # factor on the length of each following cycle, above 0; lengths are cut to whole events
    start_value_mult: float = 1.0  # factor on the start value of each following cycle
    end_value_mult: float = 1.0  # factor on the end value of each following cycle
    warmup_duration: Duration = 0  # events, or as above, between two cycles: linear up to the next start value
    num_cycles: int | None = None  # cycles to run before the value holds, at least 1; null: no limit
    endpoint: bool = False  # true: the last annealing event of a cycle has the end value itself, as numpy.linspace
    amplitude_mult: float = 1.0  # factor on the distance of the end value from the start value, each following cycle
    amplitude_decay: float = 1.0  # factor on that distance, each event

    _least: ClassVar[Mapping[str, int]] = {"cycle_size": 2, "num_cycles": 1}

    def __post_init__(self) -> None:
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
    def _cycles(self) -> Cycles:
        self._check_resolved()
        return cycles(cast("int", self.cycle_size), cast("int", self.warmup_duration), self.cycle_mult, self.num_cycles)

    def _values(self, steps: Array) -> Array:
        return self._located(steps, self._cycles)

    def _reached(self, duration: int) -> float:
        import numpy as np

        # As if the cycle that is running were the last one: at its end there is its end value and not a new start.
        limited = cycles(self.cycle_size, self.warmup_duration, self.cycle_mult, self.cycles(duration))
        return float(self._located(np.array([float(duration)]), limited)[0])

    def _located(self, steps: Array, table: Cycles) -> Array:
        import numpy as np

        cycle, position, size, warmup = table.locate(steps)
        start: float | Array = self.start_value
        end: float | Array = self.end_value
        if self.start_value_mult != 1:  # a power costs more than all the rest
            start = start * np.power(self.start_value_mult, cycle)
        if self.end_value_mult != 1:
            end = end * np.power(self.end_value_mult, cycle)
        if self.amplitude_mult != 1:
            end = start + (end - start) * np.power(self.amplitude_mult, cycle)
        if self.amplitude_decay != 1:
            end = start + (end - start) * np.power(self.amplitude_decay, steps)
        values = self._between(start, end, np.minimum(position / (size - self.endpoint), 1.0))
        if self.warmup_duration:
            ramp = np.maximum(position - size, 0.0) / np.maximum(warmup, 1.0)
            values += (start * self.start_value_mult - values) * ramp
        return values

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        return self._cycles.starts(num_events)[1:]

    def cycles(self, num_events: int) -> int:  # noqa: D102
        import numpy as np

        return int(self._cycles.locate(np.array([num_events - 1.0]))[0][0]) + 1 if num_events else 0

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        import numpy as np

        steps = np.arange(events.start, events.stop, dtype=np.float64)
        cycle, position, size, _ = np.broadcast_arrays(*self._cycles.locate(steps))

        def numbers(chosen: npt.NDArray[np.bool_]) -> dict[int, int]:
            return dict(zip(steps[chosen].astype(int).tolist(), (cycle[chosen] + 1).astype(int).tolist(), strict=True))

        return numbers(position == 0), numbers(position == size - 1)

    def _runs(self, num_events: int) -> bool:
        import numpy as np

        _, position, size, _ = self._cycles.locate(np.array([num_events - 1.0]))
        return bool((position < size - 1).all())

    def nth_cycle(self, cycle: int) -> tuple[int, int, int] | None:
        """The first event, annealing events and warm-up events of a cycle (the first is 0), if there is one."""
        return self._cycles.nth(cycle)

    def holds_from(self, num_events: int) -> int | None:
        """The event below ``num_events`` at which the last cycle is over and its final value holds, if there is one."""
        return self._cycles.end(num_events)

    def _between(self, start: float | Array, end: float | Array, x: Array) -> Array:
        """The values at the fractions ``x`` of a cycle's length."""
        import numpy as np

        remaining = self._remaining(x)
        values = remaining * (start - end)
        values += end
        # end + (start - end) can miss start by rounding; a cycle that begins, begins exactly there.
        np.copyto(values, start, where=remaining == 1.0)
        return values

    def _remaining(self, x: Array) -> Array:
        """What part of the distance from start (1) to end value (0) remains at the fraction ``x`` of a cycle."""
        raise NotImplementedError


@register("cosine_annealing")
@dataclass(kw_only=True)
class CosineAnnealing(CyclicalSchedule):
    """Anneals from start to end value along half a cosine wave: ``remaining(x) = (1 + cos(pi * x)) / 2``.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (ICLR 2017), equation 5.
    """

    def _remaining(self, x: Array) -> Array:
        import numpy as np

        remaining = np.cos(np.pi * x)
        remaining += 1.0
        remaining *= 0.5
        return remaining


@register("linear_cyclical")
@dataclass(kw_only=True)
class LinearCyclical(CyclicalSchedule):
    """Moves linearly from start to end value and back within each cycle: ``remaining(x) = abs(2 * x - 1)``.

    With ``monotonic`` it only moves there, ``remaining(x) = 1 - x``; a warm-up between cycles needs that.
    Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.
    """

    monotonic: bool = False  # true: one linear move from start to end value per cycle, no way back

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_duration and not self.monotonic:
            raise ValueError(
                f"warmup_duration={self.warmup_duration} needs monotonic=True, for a triangle ends where the next one "
                "starts: set monotonic=True or warmup_duration=0"
            )

    def _remaining(self, x: Array) -> Array:
        return 1.0 - x if self.monotonic else abs(2.0 * x - 1.0)


@register("polynomial_annealing")
@dataclass(kw_only=True)
class PolynomialAnnealing(CyclicalSchedule):
    """Anneals from start to end value as a power: ``remaining(x) = (1 - x)**power``; 1 is linear."""

    power: float = 1.0  # above 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 0:
            raise ValueError(f"power={self.power} must be above 0: 1 is linear, 2 quadratic")

    def _remaining(self, x: Array) -> Array:
        return (1.0 - x) ** self.power


@register("sqrt_annealing")
@dataclass(kw_only=True)
class SqrtAnnealing(CyclicalSchedule):
    """Anneals from start to end value fast at first: ``remaining(x) = 1 - sqrt(x)``.

    Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations" (NeurIPS 2024).
    """

    def _remaining(self, x: Array) -> Array:
        return 1.0 - x**0.5


@register("exponential_annealing")
@dataclass(kw_only=True)
class ExponentialAnnealing(CyclicalSchedule):
    """Anneals from start to end value by equal factors: ``start * (end / start)**x``; both have the same sign."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (min(self.start_value, self.end_value) > 0 or max(self.start_value, self.end_value) < 0):
            raise ValueError(
                f"end_value={self.end_value} cannot be reached from start_value={self.start_value} by factors: "
                "give both the same sign, and neither 0"
            )

    def _between(self, start: float | Array, end: float | Array, x: Array) -> Array:
        import numpy as np

        return np.where(x == 1.0, end, start * np.power(end / start, x))
