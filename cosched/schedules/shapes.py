"""The shapes without cycles, each a few fields and a line of arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cosched.schedules.durations import Duration, Run
from cosched.schedules.fields import duration, number
from cosched.schedules.intervals import hull, known, powers, times, widened
from cosched.schedules.registry import register
from cosched.schedules.schedule import S, Schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


def _check_ascending(milestones: list[Any], events: list[Any]) -> None:
    counted = [event for event in events if isinstance(event, int)]
    if any(event >= following for event, following in pairwise(counted)):
        raise ValueError(f"milestones={milestones} must ascend: each event greater than the one before")


@register("constant")
@dataclass(kw_only=True)
class Constant(Schedule):
    """One value at every event: ``value``.

    Attributes:
        value: that value, in the parameter's own unit; null: the one that has been reached before, in a phase after
            another one or in a branch.
    """

    value: float | None

    _start: ClassVar[str] = "value"

    def _values(self, steps: Array) -> Array:
        import numpy as np

        return np.full(steps.shape, self.value)

    def bounds(self, events: range) -> tuple[float, float]:  # noqa: D102
        return cast("float", self.value), cast("float", self.value)


@register("inverse_sqrt")
@dataclass(kw_only=True)
class InverseSqrt(Schedule):
    """Falls for ever, as an inverse power: ``start_value / (1 + decay_rate * event / timescale)**power``.

    With the power 0.5 it is the inverse square root. After a linear warm-up of ``timescale`` events that is the rule of
    Vaswani et al., "Attention Is All You Need" (NeurIPS 2017), section 5.3.

    >>> InverseSqrt(start_value=1, timescale=100).values([0, 300, 9900]).tolist()
    [1.0, 0.5, 0.1]
    >>> InverseSqrt(start_value=1, timescale=100, power=1, decay_rate=3).values([0, 100, 200]).tolist()
    [1.0, 0.25, 0.14285714285714285]

    Attributes:
        start_value: the value at the first event, in the parameter's own unit; null: the one that has been reached
            before, in a phase after another one or in a branch.
        timescale: after how many events it has fallen by the factor ``(1 + decay_rate)**power``: at least 1, or with a
            unit (``10ep``, ``500it``, ``25%``).
        power: above 0; 0.5 is the inverse square root, 1 the inverse of time.
        decay_rate: how fast time passes, above 0.
        staircase: true: it falls with every whole ``timescale`` only, and holds in between.
    """

    start_value: float | None
    timescale: Duration
    power: float = 0.5
    decay_rate: float = 1.0
    staircase: bool = False

    _least: ClassVar[Mapping[str, int]] = {"timescale": 1}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("power", "decay_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0, for the values fall")

    def _values(self, steps: Array) -> Array:
        import numpy as np

        time: Array = steps / cast("int", self.timescale)
        if self.staircase:
            time = np.floor(time)
        if self.decay_rate != 1:
            time *= self.decay_rate
        return cast("float", self.start_value) / (1.0 + time) ** self.power

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        found = hull(self(events[0]), self(events[-1]))
        if self.power == 0.5:
            return found  # each of its operations is rounded in order
        return known(widened(found, max(map(abs, found)), signed=True))


@register("step_decay")
@dataclass(kw_only=True)
class StepDecay(Schedule):
    """Falls in steps, by a factor each: ``start_value * gamma**k`` after ``k`` steps; each step is a cycle.

    It steps down every so many events, or at the given ones, as in He et al., "Deep Residual Learning for Image
    Recognition" (CVPR 2016).

    >>> StepDecay(start_value=1, gamma=0.5, every=2).values(range(6)).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    >>> StepDecay(start_value=1, gamma=0.5, milestones=[1, 4]).values(range(6)).tolist()
    [1.0, 0.5, 0.5, 0.5, 0.25, 0.25]

    Attributes:
        start_value: the value at the first event, in the parameter's own unit; null: the one that has been reached
            before, in a phase after another one or in a branch.
        gamma: the factor of each step.
        every: a step after each so many events: at least 1, or with a unit (``30ep``, ``500it``, ``25%``). It or
            ``milestones`` is to be given.
        milestones: or the events of the steps, ascending, from 1 on; they may have units: ``[30ep, 60ep, 90%]``.
    """

    start_value: float | None
    gamma: float = 0.1
    every: Duration | None = None
    milestones: list[Any] = ()  # type: ignore[assignment]  # a default that help can show

    _least: ClassVar[Mapping[str, int]] = {"every": 1}

    def __post_init__(self) -> None:
        if not isinstance(self.milestones, (list, tuple)):
            raise TypeError(f"milestones={self.milestones!r} must be a list of events, as [30ep, 60ep]")
        events = [duration(f"milestones[{i}]", event, 1) for i, event in enumerate(self.milestones)]
        _check_ascending(events, events)
        self.milestones = events
        if (self.every is None) is not bool(events):
            raise ValueError(
                f"every={self.every!r} and milestones={events}: give one of them, every=10 for a step after each 10 "
                "events, or milestones=[30, 60] for the events of the steps"
            )
        super().__post_init__()

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        declared = cast("StepDecay", self)._durations()
        events = [run.events(name, event, 1) for name, event in declared.items()]
        if events == list(declared.values()):
            return self
        return replace(
            self, **({"milestones": events} if cast("StepDecay", self).every is None else {"every": events[0]})
        )

    def _durations(self) -> dict[str, Any]:
        if self.every is not None:
            return {"every": self.every}
        return {f"milestones[{i}]": event for i, event in enumerate(self.milestones)}

    def _steps(self, event: int) -> int:
        """How many steps there have been at an event, its own included."""
        return event // cast("int", self.every) if self.every is not None else bisect_right(self.milestones, event)

    def _first(self, step: int) -> int:
        """The event of a step; 0 is the beginning."""
        if self.every is not None:
            return step * cast("int", self.every)
        return cast("int", self.milestones[step - 1]) if step else 0

    def _values(self, steps: Array) -> Array:
        import numpy as np

        if self.every is not None:
            taken = np.floor_divide(steps, float(cast("int", self.every)))
        else:
            taken = np.searchsorted(np.array(self.milestones, dtype=np.float64), steps, side="right").astype(np.float64)
        return cast("float", self.start_value) * np.power(self.gamma, taken)

    def _reached(self, duration: int) -> float:
        return super()._reached(duration - 1)  # a step that would come with the end does not come

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        factors = powers(self.gamma, self._steps(events[0]), self._steps(events[-1]))
        return known(times(hull(cast("float", self.start_value)), factors))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The events of the steps below ``num_events``."""
        import numpy as np

        if self.every is not None:
            return np.arange(every := cast("int", self.every), num_events, every, dtype=np.int64)
        return np.array([event for event in self.milestones if event < num_events], dtype=np.int64)

    def cycles(self, num_events: int) -> int:  # noqa: D102
        return self._steps(num_events - 1) + 1 if num_events else 0

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        if not events:
            return {}, {}
        numbers = range(self._steps(events[0]), self._steps(events.stop) + 1)
        firsts = {self._first(number): number + 1 for number in numbers}
        begun = {event: number for event, number in firsts.items() if event in events}
        return begun, {event - 1: number - 1 for event, number in firsts.items() if event - 1 in events}


@register("piecewise_linear")
@dataclass(kw_only=True)
class PiecewiseLinear(Schedule):
    """Goes through the given points in straight lines; before the first and after the last it holds their values.

    >>> PiecewiseLinear(milestones=[[0, 0], [4, 1], [8, 0.5]]).values(range(10)).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.875, 0.75, 0.625, 0.5, 0.5]

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
        _check_ascending(pairs, [event for event, _ in pairs])
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
