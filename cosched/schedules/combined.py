"""Schedules made of another one's values: scaled and clipped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from cosched.schedules.durations import Run
from cosched.schedules.intervals import known
from cosched.schedules.phases import Phase, lasting
from cosched.schedules.registry import register
from cosched.schedules.remedies import within
from cosched.schedules.schedule import S, Schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


@register("scaled")
@dataclass(kw_only=True)
class Scaled(Schedule):
    """Another schedule's values times a factor, then no less than one bound and no more than another.

    Attributes:
        schedule: what is scaled; it has the fields of its shape.
        factor: what its values are multiplied by.
        lower: the least value, once multiplied; null: no bound.
        upper: the greatest value, once multiplied; null: no bound.
    """

    schedule: Any
    factor: float = 1.0
    lower: float | None = None
    upper: float | None = None

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
        import numpy as np

        scaled: Array = values * self.factor
        return scaled if self.lower is None and self.upper is None else np.clip(scaled, self.lower, self.upper)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        import numpy as np

        inner = self.schedule.bounds(events)
        if inner is None:
            return None
        low, high = sorted(self._scaled(np.array(inner)).tolist())
        return known((low, high))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        return cast("npt.NDArray[np.int64]", self.schedule.restarts(num_events))

    def cycles(self, num_events: int) -> int:  # noqa: D102
        return cast("int", self.schedule.cycles(num_events))

    def _runs(self, num_events: int) -> bool:
        return cast("bool", self.schedule._runs(num_events))

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        return cast("Bounds", self.schedule.cycle_bounds(events))
