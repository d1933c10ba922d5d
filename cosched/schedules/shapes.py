"""The shapes without cycles, each a few fields and a line of arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cosched.schedules.durations import Duration, Run
from cosched.schedules.fields import duration, number
from cosched.schedules.intervals import hull, known, widened
from cosched.schedules.registry import register
from cosched.schedules.schedule import S, Schedule

if TYPE_CHECKING:
    from cosched.schedules.schedule import Array


@register("constant")
@dataclass(kw_only=True)
class Constant(Schedule):
    """One value at every event: ``value``.

    Attributes:
        value: that value, in the parameter's own unit.
    """

    value: float

    def _values(self, steps: Array) -> Array:
        import numpy as np

        return np.full(steps.shape, self.value)

    def bounds(self, events: range) -> tuple[float, float]:  # noqa: D102
        return self.value, self.value


@register("inverse_sqrt")
@dataclass(kw_only=True)
class InverseSqrt(Schedule):
    """Falls for ever, as the inverse square root: ``start_value / sqrt(1 + event / timescale)``.

    After a linear warm-up of ``timescale`` events it is the rule of Vaswani et al., "Attention Is All You Need"
    (NeurIPS 2017), section 5.3.

    >>> InverseSqrt(start_value=1, timescale=100).values([0, 300, 9900]).tolist()
    [1.0, 0.5, 0.1]

    Attributes:
        start_value: the value at the first event, in the parameter's own unit.
        timescale: after how many events it has fallen by the factor ``sqrt(2)``: at least 1, or with a unit (``10ep``,
            ``500it``, ``25%``).
    """

    start_value: float
    timescale: Duration

    _least: ClassVar[Mapping[str, int]] = {"timescale": 1}

    def _values(self, steps: Array) -> Array:
        return self.start_value / (1.0 + steps / cast("int", self.timescale)) ** 0.5

    def bounds(self, events: range) -> tuple[float, float]:  # noqa: D102
        return hull(self(events[0]), self(events[-1]))  # each of its operations is rounded in order


@register("piecewise_linear")
@dataclass(kw_only=True)
class PiecewiseLinear(Schedule):
    """Goes through the given points in straight lines; before the first and after the last it holds their values.

    Attributes:
        milestones: pairs of an event and the value there, ``[[0, 0.1], [10ep, 1]]``, at least one; the events ascend,
            from 0 on, and may have units.
    """

    __slots__ = ("_arrays",)

    milestones: list[Any]

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
        if not any(isinstance(event, str) for event, _ in declared):
            return self
        pairs = [[run.events(f"milestones[{i}][0]", event, 0), value] for i, (event, value) in enumerate(declared)]
        return replace(self, milestones=pairs)  # type: ignore[call-arg]

    def _durations(self) -> dict[str, Any]:
        return {f"milestones[{i}][0]": event for i, (event, _) in enumerate(self.milestones)}

    def _check_resolved(self) -> None:
        self._points()

    def _points(self) -> tuple[Array, Array]:
        """The events and the values, made arrays once."""
        import numpy as np

        milestones, *points = getattr(self, "_arrays", (None,))
        if milestones is not self.milestones:
            if any(isinstance(event, str) for event, _ in self.milestones):
                super()._check_resolved()
            points = list(np.array(self.milestones, dtype=np.float64).T.copy())
            object.__setattr__(self, "_arrays", (self.milestones, *points))
        events, values = points
        return events, values

    def _values(self, steps: Array) -> Array:
        import numpy as np

        interpolated: Array = np.interp(steps, *self._points())
        return interpolated

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        import numpy as np

        points, values = self._points()
        low, high = np.searchsorted(points, (events[0], events[-1]))
        ends = np.interp((events[0], events[-1]), points, values)
        close = points[-1] - points[0] < 2**40  # so that no step down to 0 is as small as a rounding error
        found = np.concatenate([ends, values[low:high]])
        scale = float(abs(found).max())
        return known(widened((float(found.min()), float(found.max())), scale, signed=bool(close)))
