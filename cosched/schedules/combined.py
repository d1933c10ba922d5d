"""Schedules made of others' values: scaled, clipped and rounded; multiplied."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cosched.schedules import registry
from cosched.schedules.durations import Run
from cosched.schedules.intervals import ROUNDING, Interval, hull, known, times
from cosched.schedules.phase import Phase, lasting
from cosched.schedules.phases import Phases
from cosched.schedules.registry import register
from cosched.schedules.remedies import within
from cosched.schedules.schedule import S, Schedule, unresolved

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


class Outer(Schedule):
    """What has the cycles of another schedule, which stands inside."""

    def inner(self) -> Schedule:
        """The schedule that stands inside."""
        raise NotImplementedError

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        return self.inner().restarts(num_events)

    def cycles(self, num_events: int) -> int:  # noqa: D102
        return self.inner().cycles(num_events)

    def _runs(self, num_events: int) -> bool:
        return self.inner()._runs(num_events)

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        return self.inner().cycle_bounds(events)


@register("scaled")
@dataclass(kw_only=True)
class Scaled(Outer):
    """Another schedule's values, scaled and shifted: ``offset + factor * value**power``; then clipped, then rounded.

    With ``schedule: ${..lr}`` in a config, one parameter follows what is declared for another: weight decay in
    proportion to the learning rate, for instance, as Defazio, "Why Gradients Rapidly Increase Near the End of Training"
    (2025), asks for with AdamW in layers that a normalization follows. Only the values are taken, so both have to count
    the same event.

    >>> from cosched import CosineAnnealing
    >>> lr = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=4)
    >>> Scaled(schedule=lr, factor=0.5).values(range(4)).round(4).tolist()
    [0.05, 0.0427, 0.025, 0.0073]
    >>> Scaled(schedule=lr, factor=1000, offset=28, multiple=32).values(range(4)).tolist()
    [128.0, 128.0, 64.0, 32.0]

    Attributes:
        schedule: what is scaled; it has the fields of its shape.
        factor: what its values, once raised to the power, are multiplied by.
        power: what its values are raised to; of one that is not whole, negative values have no power.
        offset: what is added then.
        lower: the least value then; null: no bound.
        upper: the greatest value then; null: no bound.
        multiple: round to the nearest multiple of this whole number, of two that are equally near to the even multiple:
            a batch size, a sequence length. At least 1; null: values are not rounded.

    Raises:
        ValueError: ``lower`` is above ``upper``, or one of them is not a multiple; or a value has no power.
    """

    schedule: Any
    factor: float = 1.0
    power: float = 1.0
    offset: float = 0.0
    lower: float | None = None
    upper: float | None = None
    multiple: int | None = None

    _least: ClassVar[Mapping[str, int]] = {"multiple": 1}

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise TypeError(
                f"schedule={self.schedule!r} is not a schedule: give it the fields of a shape, as with "
                "+cosched/phase@scheduler.schedule=cosine_annealing"
            )
        self.schedule = self.schedule if isinstance(self.schedule, Phase) else lasting(self.schedule, None)
        super().__post_init__()
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower={self.lower} is above upper={self.upper}: nothing is left between the bounds")
        for name in ("lower", "upper"):
            bound = getattr(self, name)
            if self.multiple and bound is not None and bound % self.multiple:
                low = math.floor(bound / self.multiple) * self.multiple
                raise ValueError(
                    f"{name}={bound} is not a multiple of multiple={self.multiple}, as all values are to be: give "
                    f"{low} or {low + self.multiple}"
                )

    def inner(self) -> Schedule:  # noqa: D102
        return cast("Schedule", self.schedule)

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        inner = cast("Scaled", self).schedule
        with within("schedule."):
            resolved = inner.resolve_in(run)
        return self if resolved == inner else replace(self, schedule=resolved)  # type: ignore[call-arg]

    def _durations(self) -> dict[str, Any]:
        return {}

    def _check_resolved(self) -> None:
        with within("schedule."):
            self.schedule._check_resolved()

    def _values(self, steps: Array) -> Array:
        return self._scaled(self.schedule._values(steps))

    def _reached(self, duration: int) -> float:
        import numpy as np

        return float(self._scaled(np.array([self.schedule._reached(duration)]))[0])

    def _scaled(self, values: Array) -> Array:
        if self.power == 1:
            return self._moved(values)
        if self.power % 1 and (values < 0).any():
            raise ValueError(
                f"power={self.power} of {values.min()}, a value of schedule, does not exist: give a whole power, or a "
                "schedule without negative values"
            )
        return self._moved(values**self.power)

    def _moved(self, values: Array) -> Array:
        """What is done after the power, in steps that keep the order of values, or all turn it round."""
        import numpy as np

        moved: Array = values * self.factor
        if self.offset:
            moved += self.offset
        if self.lower is not None or self.upper is not None:
            moved = np.clip(moved, self.lower, self.upper)
        if self.multiple is not None:
            moved = np.rint(moved / self.multiple) * self.multiple + 0.0  # no -0
        return moved

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        import numpy as np

        inner = self.schedule.bounds(events)
        with np.errstate(all="ignore"):
            inner = inner and self._powers(*inner)
            if inner is None:
                return None
            low, high = sorted(self._moved(np.array(inner)).tolist())
        return known((low, high))

    def _powers(self, low: float, high: float) -> Interval | None:
        """Bounds of the powers of values between two; None: they are not bounded, or one of them has none."""
        import numpy as np

        if self.power == 1:
            return low, high
        if (low < 0 and self.power % 1) or (low <= 0 <= high and self.power < 0):
            return None
        low, high = hull(*(np.array([low, high]) ** self.power).tolist(), *[0.0] * (low < 0 < high))
        return low - ROUNDING * abs(low), high + ROUNDING * abs(high)


@register("product")
@dataclass(kw_only=True)
class Product(Schedule):
    """Schedules times each other: ``a(event) * b(event) * ...``.

    All of them begin with the first event. One with a ``duration`` ends then, and the value that it has reached holds;
    one of 0 events is left out. A cycle begins wherever one begins in a factor, and has ended when none is running.

    >>> from cosched import CosineAnnealing, PiecewiseLinear
    >>> waves = CosineAnnealing(start_value=1, end_value=0.5, cycle_size=2)
    >>> down = PiecewiseLinear(milestones=[[0, 1], [4, 0]])
    >>> Product(factors={"waves": waves, "down": down}).values(range(5)).tolist()
    [1.0, 0.5625, 0.5, 0.1875, 0.0]

    Attributes:
        factors: the schedules by name, at least one; each has the fields of its shape, and may have a duration.
    """

    factors: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.factors, Mapping) or not self.factors:
            raise TypeError(f"factors={self.factors!r} must map names to schedules, at least one")
        for name, one in self.factors.items():
            if not isinstance(one, Schedule):
                raise TypeError(
                    f"factors.{name}={one!r} is not a schedule: give it the fields of a shape, as with "
                    f"+cosched/phase@scheduler.factors.{name}=constant"
                )
        self.factors = {
            name: one if isinstance(one, Phase) else lasting(one, None) for name, one in self.factors.items()
        }
        super().__post_init__()

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        resolved = {}
        for name, one in cast("Product", self).factors.items():
            with within(f"factors.{name}."):
                length = None if one.duration is None else run.events("duration", one.duration, 0)
                if length != 0:
                    one = one.resolve_in(run if length is None else replace(run, span=length))
                resolved[name] = one if length == one.duration else replace(one, duration=length)
        return self if resolved == self.factors else replace(self, factors=resolved)  # type: ignore[attr-defined,call-arg]

    def _durations(self) -> dict[str, Any]:
        return {}

    def _check_resolved(self) -> None:
        for name, one in self.factors.items():
            with within(f"factors.{name}."):
                if isinstance(one.duration, str):
                    raise ValueError(unresolved("duration", one.duration))
                if one.duration != 0:
                    one._check_resolved()

    @property
    def parts(self) -> list[Schedule]:
        """What is multiplied: the factors that have events, each of which goes on for ever, if only with one value."""
        return self._once(_ending)

    def _values(self, steps: Array) -> Array:
        import numpy as np

        return reduce(np.multiply, (one._values(steps) for one in self.parts), np.ones(steps.shape))

    def _reached(self, duration: int) -> float:
        return math.prod(one._reached(duration) for one in self.parts)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        found = [one.bounds(events) for one in self.parts]
        return None if None in found else known(reduce(times, cast("list[Interval]", found), (1.0, 1.0)))

    # Cycles are those of the parts that can have several, or one that ends.

    @property
    def _turning(self) -> list[Schedule]:
        return [one for one in self.parts if _turns(one)]

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The events at which a cycle begins in a factor; 0 is a start, not a restart."""
        import numpy as np

        found = [one.restarts(num_events) for one in self._turning]
        return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))

    def cycles(self, num_events: int) -> int:  # noqa: D102
        several = [count for one in self._turning if (count := one.cycles(num_events)) > 1]
        if len(several) > 1:
            return len(self.restarts(num_events)) + 1  # of some that coincide only one counts
        return several[0] if several else min(num_events, 1)

    def _runs(self, num_events: int) -> bool:
        turning = self._turning
        return any(one._runs(num_events) for one in turning) or not turning

    def cycle_bounds(self, events: range) -> Bounds:
        """By event index within ``events``, the cycles (numbered from 1) that begin there, and that end with it."""
        around = range(events.start, events.stop + 1)
        found = [super().cycle_bounds(around), *(one.cycle_bounds(around) for one in self._turning)]
        firsts = sorted({event for begun, _ in found for event in begun})
        before = self.cycles(events.start)
        begun = {event: number for number, event in enumerate(firsts, before + 1) if event in events}
        ended: dict[int, int] = {}
        for event in sorted({event for _, last in found for event in last} | {event - 1 for event in firsts}):
            running = event in begun or (event > 0 and self._runs(event))
            if event in events and running and (event + 1 in firsts or not self._runs(event + 1)):
                ended[event] = before + bisect_right(firsts, event)
        return begun, ended


def _turns(one: Schedule) -> bool:
    if isinstance(one, Outer):
        return _turns(one.inner())
    kind = registry.shape(one.shape) if isinstance(one, Phase) else type(one)
    return kind.cycle_bounds is not Schedule.cycle_bounds


def _ending(product: Product) -> list[Schedule]:
    """The factors that have events; one that ends before the others do is a sequence of one phase."""
    chosen = {name: one for name, one in product.factors.items() if one.duration != 0}
    return [one if one.duration is None else Phases(phases={name: one}) for name, one in chosen.items()]
