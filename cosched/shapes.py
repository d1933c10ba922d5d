"""The shapes: each a few fields and a line of arithmetic over what `cosched.schedules` has for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cosched.durations import Duration, Run
from cosched.schedules import CyclicalSchedule, S, Schedule, duration, number

if TYPE_CHECKING:
    from cosched.schedules import Array


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


@dataclass(kw_only=True)
class SqrtAnnealing(CyclicalSchedule):
    """Anneals from start to end value fast at first: ``remaining(x) = 1 - sqrt(x)``.

    Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations" (NeurIPS 2024).
    """

    def _remaining(self, x: Array) -> Array:
        return 1.0 - x**0.5


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


@dataclass(kw_only=True)
class Constant(Schedule):
    """One value for ever."""

    value: float  # in the parameter's own unit

    def _values(self, steps: Array) -> Array:
        import numpy as np

        return np.full(steps.shape, self.value)


@dataclass(kw_only=True)
class InverseSqrt(Schedule):
    """Falls for ever, as the inverse square root: ``start_value / sqrt(1 + step / timescale)``.

    After a linear warm-up of ``timescale`` events it is the rule of Vaswani et al., "Attention Is All You Need"
    (NeurIPS 2017), section 5.3.
    """

    start_value: float  # value at the first event
    timescale: Duration  # events, or with a unit, after which it has fallen by the factor sqrt(2), at least 1

    _least: ClassVar[Mapping[str, int]] = {"timescale": 1}

    def _values(self, steps: Array) -> Array:
        return self.start_value / (1.0 + steps / cast("int", self.timescale)) ** 0.5


@dataclass(kw_only=True)
class PiecewiseLinear(Schedule):
    """Goes through the given points in straight lines; before the first and after the last it holds their values."""

    milestones: list[Any]  # pairs [event, value], events ascending, with a unit if need be: [[0, 0.1], [10ep, 1]]

    def __post_init__(self) -> None:
        if not isinstance(self.milestones, (list, tuple)) or not self.milestones:
            raise TypeError(f"milestones={self.milestones!r} must be a list of pairs [event, value], at least one")
        pairs = []
        for i, pair in enumerate(self.milestones):
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise TypeError(f"milestones[{i}]={pair!r} must be a pair [event, value]")
            pairs.append([duration(f"milestones[{i}][0]", pair[0], 0), number(f"milestones[{i}][1]", pair[1])])
        events = [event for event, _ in pairs if isinstance(event, int)]
        if any(event >= following for event, following in pairwise(events)):
            raise ValueError(f"milestones={pairs} must ascend: each event greater than the one before")
        self.milestones = pairs
        super().__post_init__()

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        declared = cast("PiecewiseLinear", self).milestones
        pairs = [[run.events(f"milestones[{i}][0]", event, 0), value] for i, (event, value) in enumerate(declared)]
        return self if pairs == declared else replace(self, milestones=pairs)  # type: ignore[call-arg]

    def _durations(self) -> dict[str, Any]:
        return {f"milestones[{i}][0]": event for i, (event, _) in enumerate(self.milestones)}

    def _values(self, steps: Array) -> Array:
        import numpy as np

        events, values = zip(*self.milestones, strict=True)
        interpolated: Array = np.interp(steps, events, values)
        return interpolated
