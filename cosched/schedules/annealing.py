"""The cyclical shapes: a formula each, over what all of them share."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosched.schedules.cyclical import CyclicalSchedule, falling
from cosched.schedules.intervals import ROUNDING, UNKNOWN, Interval, finite, hull, union
from cosched.schedules.registry import register

if TYPE_CHECKING:
    from cosched.schedules.schedule import Array


def _check_positive(shape: CyclicalSchedule, *names: str) -> None:
    for name in names:
        if getattr(shape, name) <= 0:
            raise ValueError(f"{name}={getattr(shape, name)} must be above 0: 1 is no power at all, 2 the square")


@register("cosine_annealing")
@dataclass(kw_only=True)
class CosineAnnealing(CyclicalSchedule):
    """Anneals along half a cosine wave, slow at both ends: ``remaining(x) = (1 + cos(pi * x**k_decay)) / 2``.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (ICLR 2017), equation 5; for ``k_decay``
    Zhang & Li, "kDecay: Just adding k-decay items on Learning-Rate Schedule to improve Neural Networks" (2020).

    >>> schedule = CosineAnnealing(start_value=1, end_value=0.1, cycle_size=4, warmup_duration=2, start_value_mult=0.5)
    >>> schedule.values(range(8)).round(3).tolist()
    [1.0, 0.868, 0.55, 0.232, 0.1, 0.3, 0.5, 0.441]
    >>> CosineAnnealing(start_value=1, end_value=0, cycle_size=4, k_decay=2).values(range(4)).round(3).tolist()
    [1.0, 0.99, 0.854, 0.402]

    Attributes:
        k_decay: the power of the fraction ``x``, above 0: more than 1 stays longer near the start, less falls at once.
        power: what ``remaining(x)`` is raised to, above 0: more than 1 falls earlier.
    """

    k_decay: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive(self, "k_decay", "power")

    def _remaining(self, x: Array) -> Array:
        import numpy as np

        remaining = np.cos(np.pi * (x if self.k_decay == 1 else x**self.k_decay))
        remaining += 1.0
        remaining *= 0.5
        if self.power != 1:
            remaining **= self.power
        return remaining

    def _remains(self, low: float, high: float) -> Interval:
        return falling(self, low, high)


@register("linear_cyclical")
@dataclass(kw_only=True)
class LinearCyclical(CyclicalSchedule):
    """Moves linearly from start to end value and back within each cycle: ``remaining(x) = abs(2 * x - 1)``.

    With ``monotonic`` it only moves there: ``remaining(x) = 1 - x``.
    Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.

    >>> LinearCyclical(start_value=0, end_value=1, cycle_size=4).values(range(5)).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    >>> LinearCyclical(start_value=0, end_value=1, cycle_size=4, monotonic=True).values(range(5)).tolist()
    [0.0, 0.25, 0.5, 0.75, 0.0]

    Attributes:
        monotonic: true: one linear move from start to end value in each cycle, not back; ``warmup_duration`` needs it.
    """

    monotonic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_duration and not self.monotonic:
            raise ValueError(
                f"warmup_duration={self.warmup_duration} needs monotonic=True, for a triangle ends where the next one "
                "starts: set monotonic=True or warmup_duration=0"
            )

    def _remaining(self, x: Array) -> Array:
        return 1.0 - x if self.monotonic else abs(2.0 * x - 1.0)

    def _remains(self, low: float, high: float) -> Interval:
        if self.monotonic or high <= 0.5:
            return falling(self, low, high)
        there, back = falling(self, min(low, 0.5), 0.5), falling(self, high, max(low, 0.5))
        return union(there, back) if low < 0.5 else back


@register("polynomial_annealing")
@dataclass(kw_only=True)
class PolynomialAnnealing(CyclicalSchedule):
    """Anneals as a power: ``remaining(x) = (1 - x**k_decay)**power``.

    For ``k_decay`` see Zhang & Li, "kDecay: Just adding k-decay items on Learning-Rate Schedule to improve Neural
    Networks" (2020). With a power of 1 these are cool-downs of Dremov et al., "Training Dynamics of the Cooldown Stage
    in Warmup-Stable-Decay Learning Rate Scheduler" (2025): 1 is linear, 2 the square, 0.5 the root.

    >>> PolynomialAnnealing(start_value=1, end_value=0, cycle_size=4, power=2).values(range(4)).tolist()
    [1.0, 0.5625, 0.25, 0.0625]
    >>> PolynomialAnnealing(start_value=1, end_value=0, cycle_size=4, k_decay=2).values(range(4)).tolist()
    [1.0, 0.9375, 0.75, 0.4375]

    Attributes:
        power: above 0. 1 is linear; more is steeper at first, less is steeper at last.
        k_decay: the power of the fraction ``x``, above 0: more than 1 stays longer near the start, less falls at once.
    """

    power: float = 1.0
    k_decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive(self, "power", "k_decay")

    def _remaining(self, x: Array) -> Array:
        return (1.0 - (x if self.k_decay == 1 else x**self.k_decay)) ** self.power

    def _remains(self, low: float, high: float) -> Interval:
        return falling(self, low, high)


@register("sqrt_annealing")
@dataclass(kw_only=True)
class SqrtAnnealing(CyclicalSchedule):
    """Anneals fast at first: ``remaining(x) = 1 - x**power``, with the power 0.5 ``1 - sqrt(x)``.

    Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations" (NeurIPS 2024).

    >>> SqrtAnnealing(start_value=1, end_value=0, cycle_size=16).values([0, 1, 4, 9]).tolist()
    [1.0, 0.75, 0.5, 0.25]

    Attributes:
        power: above 0; 0.5 is the root, less is faster at first, 1 is linear, and 2 is slow at first.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive(self, "power")

    def _remaining(self, x: Array) -> Array:
        return 1.0 - x**self.power

    def _remains(self, low: float, high: float) -> Interval:
        return falling(self, low, high)


@register("tanh_annealing")
@dataclass(kw_only=True)
class TanhAnnealing(CyclicalSchedule):
    """Anneals along a hyperbolic tangent: ``remaining(x) = (1 - tanh(lower + (upper - lower) * x)) / 2``.

    It does not quite begin at the start value, nor reach the end value: the nearer, the farther the bounds are from 0.
    Hsueh et al., "Stochastic Gradient Descent with Hyperbolic-Tangent Decay on Classification" (WACV 2019).

    >>> TanhAnnealing(start_value=1, end_value=0, cycle_size=4).values(range(4)).round(3).tolist()
    [1.0, 1.0, 0.982, 0.269]

    Attributes:
        lower: where on the tangent a cycle begins.
        upper: where it ends, above ``lower``.
    """

    lower: float = -7.0
    upper: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lower >= self.upper:
            raise ValueError(f"lower={self.lower} must be below upper={self.upper}")

    def _remaining(self, x: Array) -> Array:
        import numpy as np

        return 0.5 - 0.5 * np.tanh(self.lower + (self.upper - self.lower) * x)

    def _remains(self, low: float, high: float) -> Interval:
        return falling(self, low, high)


@register("exponential_annealing")
@dataclass(kw_only=True)
class ExponentialAnnealing(CyclicalSchedule):
    """Anneals by equal factors: ``value = start * (end / start)**x``; both have the same sign.

    >>> ExponentialAnnealing(start_value=1, end_value=0.01, cycle_size=2, num_cycles=1).values(range(3)).round(9)
    array([1.  , 0.1 , 0.01])
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        start = self.end_value if self.start_value is None else self.start_value
        if not (min(start, self.end_value) > 0 or max(start, self.end_value) < 0):
            raise ValueError(
                f"end_value={self.end_value} cannot be reached from start_value={self.start_value} by factors: "
                "give both the same sign, and neither 0"
            )

    def _between(self, start: float | Array, end: float | Array, x: Array) -> Array:
        import numpy as np

        ratio = end / start
        if isinstance(start, float) and isinstance(end, float) and not sys.float_info.min < ratio < math.inf:
            low, high = math.log(abs(start)), math.log(abs(end))  # the ratio is out of range, what is between is not
            between = math.copysign(1.0, start) * np.exp(low + (high - low) * x)
            return np.where(x == 1.0, end, np.where(x == 0.0, start, between))
        # A start that multipliers have taken below float64's range is 0, and its end less than that.
        return np.where((x == 1.0) | (np.asarray(start) == 0.0), end, start * np.power(ratio, x))

    def _enclosed(self, start: Interval, end: Interval, x: Interval) -> Interval:
        # In a straight line on a logarithmic scale, so the bounds are at the ends.
        if not (finite(start, end) and (min(*start, *end) > 0 or max(*start, *end) < 0)):
            return UNKNOWN
        ratios = hull(*(b / a for a in start for b in end))
        if not sys.float_info.min < ratios[0] <= ratios[1] < math.inf:
            return UNKNOWN
        found = [a * (b / a) ** y for a in start for b in end for y in x]
        return min(found) - 8 * ROUNDING * abs(min(found)), max(found) + 8 * ROUNDING * abs(max(found))
