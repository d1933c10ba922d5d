"""A schedule as one of several, or inside another: for how long it lasts, and how far into its curve it begins."""

from __future__ import annotations

from copy import copy
from dataclasses import field, fields, make_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from cosched.schedules import registry
from cosched.schedules.durations import Duration, Run
from cosched.schedules.fields import checks
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import S, Schedule, unresolved

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


class Phase(Schedule):
    """A registered shape as one of several phases, or as what stands inside another schedule.

    ``Phase(shape="cosine_annealing", duration="5ep", start_value=1, end_value=0)`` is what configs make; in Python,
    `lasting` says the same of a schedule. A cycle lasts as long as the phase, and there is one, unless its fields say
    otherwise. A ``start_value``, or the ``value`` of a constant, that is null or left out is the value that the phase
    before has reached.

    Attributes:
        shape: the name under which the shape is registered; then come the fields of the shape.
        duration: events, or with a unit (``5ep``, ``500it``, ``25%``), at least 0; None: to the end.
        skip: how far into its curve the phase begins: events, or with a unit. At the event ``p`` of the phase it has
            the shape's value at ``skip + p``, and a cycle without a size lasts for ``skip`` and the phase together.
    """

    shape: str
    duration: Duration | None
    skip: Duration

    if TYPE_CHECKING:  # for pyright, which asks `__init__` after `__new__`

        def __init__(
            self, *, shape: str, duration: Duration | None = None, skip: Duration = 0, **given: Any
        ) -> None: ...

    def __new__(cls, *, shape: str | None = None, **given: Any) -> Phase:  # noqa: D102  # the class says it
        if cls is not Phase:
            return super().__new__(cls)
        if shape is None:
            raise TypeError(f"shape is missing: give the name of a registered shape, {', '.join(registry.names())}")
        made = phase(registry.shape(shape))
        names = [f.name for f in fields(made) if not f.name.startswith("_")]
        for name in given:
            if name not in names and not name.startswith("_"):
                raise TypeError(f"a phase of {shape} has no field {name!r}: {did_you_mean(name, names)}")
        found: Phase = super().__new__(made)
        return found

    # What follows is the shape's own, but for a phase that begins within its curve.

    @property
    def _whole(self) -> Phase:
        return self._once(_unskipped)

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        declared = cast("Phase", self).skip
        skip = run.events("skip", declared, 0)
        if skip != declared:
            return replace(self, skip=skip).resolve_in(run)  # type: ignore[call-arg]
        span = run.num_events if run.span is None else run.span
        if skip and span is not None:
            run = replace(run, span=span + skip)
        return super().resolve_in(run)

    def _check_resolved(self) -> None:
        if isinstance(self.skip, str):
            raise ValueError(unresolved("skip", self.skip))
        if self.skip:
            self._whole._check_resolved()
        else:
            super()._check_resolved()

    def _begun_at(self: S, value: float) -> S:
        if skip := cast("Phase", self).skip:
            raise ValueError(f"{self._open()} is missing, and skip={skip} begins after the start: give one of them up")
        return super()._begun_at(value)

    def _values(self, steps: Array) -> Array:
        return self._whole._values(steps + self._skipped) if self.skip else super()._values(steps)

    def _reached(self, duration: int) -> float:
        return self._whole._reached(duration + self._skipped) if self.skip else super()._reached(duration)

    @property
    def _skipped(self) -> int:
        return cast("int", self.skip)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        if not self.skip:
            return super().bounds(events)
        return self._whole.bounds(range(events.start + self._skipped, events.stop + self._skipped))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        if not self.skip:
            return super().restarts(num_events)
        found = self._whole.restarts(num_events + self._skipped) - self._skipped
        return found[found > 0]

    def _before(self) -> int:
        """How many cycles the curve has had before the one that is running when the phase begins."""
        return self._whole.cycles(self._skipped + 1) - 1

    def cycles(self, num_events: int) -> int:  # noqa: D102
        if not (self.skip and num_events):
            return super().cycles(num_events)
        return self._whole.cycles(num_events + self._skipped) - self._before()

    def _runs(self, num_events: int) -> bool:
        return self._whole._runs(num_events + self._skipped) if self.skip else super()._runs(num_events)

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        if not (self.skip and events):
            return super().cycle_bounds(events)
        skip, before = self._skipped, self._before()
        begun, ended = (
            {event - skip: number - before for event, number in found.items()}
            for found in self._whole.cycle_bounds(range(events.start + skip, events.stop + skip))
        )
        if 0 in events:  # a cycle that runs begins with the phase, and one that is over ends with the first event, too
            begun = {0: 1} | begun
            ended = ended if 0 in ended or self._runs(1) else {0: 1} | ended
        return begun, ended


def _unskipped(one: Phase) -> Phase:
    whole = copy(one)  # made anew, it would warn again of what it has warned of
    object.__setattr__(whole, "skip", 0)
    return whole


def _make(name: str, shape: Any) -> type[Phase]:
    declared: list[tuple[str, Any, Any]] = [
        ("duration", Duration | None, field(default=None)),
        ("skip", Duration, field(default=0)),
    ]
    names = {f.name for f in fields(shape)}
    if shape._start in names and checks(shape)[shape._start][1]:
        declared.append((shape._start, float | None, field(default=None)))
    if "cycle_size" in names:
        declared += [("cycle_size", Duration | None, field(default=None)), ("num_cycles", int | None, 1)]
    declared += [
        ("_target_", str, field(default="cosched.Phase", repr=False)),
        ("shape", str, field(default=name, repr=False)),
    ]
    return make_dataclass(
        f"{shape.__name__}Phase",
        declared,
        bases=(Phase, shape),
        kw_only=True,
        namespace={"__doc__": f"A `{shape.__name__}` that lasts for ``duration``."},
    )


phase = registry.Derived(__name__, "phase", _make)


def lasting(schedule: Schedule, duration: Duration | None, *, skip: Duration | None = None) -> Phase:
    """``schedule`` as a phase that lasts for ``duration``, None: to the end, and that begins ``skip`` into its curve.

    >>> from cosched import LinearCyclical, Phases
    >>> saw = LinearCyclical(start_value=1, end_value=0, cycle_size=4, monotonic=True)
    >>> Phases(phases={"only": lasting(saw, None, skip=2)}).values(range(4)).tolist()
    [0.5, 0.25, 1.0, 0.75]
    """
    values = {f.name: getattr(schedule, f.name) for f in fields(schedule)} | {"duration": duration}
    values |= {} if skip is None else {"skip": skip}
    kind: type[Any] = type(schedule)
    return replace(schedule, **values) if isinstance(schedule, Phase) else phase(kind)(**values)
