"""Schedules one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from cosched.schedules import registry
from cosched.schedules.durations import Duration, Run
from cosched.schedules.intervals import Interval, hull, known, union
from cosched.schedules.registry import register
from cosched.schedules.remedies import did_you_mean, within
from cosched.schedules.schedule import S, Schedule, unresolved

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


class Phase(Schedule):
    """A registered shape as one of several phases, or as what stands inside another schedule.

    ``Phase(shape="cosine_annealing", duration="5ep", start_value=1, end_value=0)`` is what configs make; in Python,
    `lasting` says the same of a schedule. A cycle lasts as long as the phase, and there is one, unless its fields say
    otherwise.

    Attributes:
        shape: the name under which the shape is registered; then come the fields of the shape.
        duration: events, or with a unit (``5ep``, ``500it``, ``25%``), at least 0; None: to the end.
    """

    shape: str
    duration: Duration | None

    if TYPE_CHECKING:  # for pyright, which asks `__init__` after `__new__`

        def __init__(self, *, shape: str, duration: Duration | None = None, **given: Any) -> None: ...

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


def _make(name: str, shape: type[Any]) -> type[Phase]:
    declared: list[tuple[str, Any, Any]] = [("duration", Duration | None, field(default=None))]
    if "cycle_size" in {f.name for f in fields(shape)}:
        declared += [("cycle_size", Duration | None, field(default=None)), ("num_cycles", int | None, 1)]
    declared += [
        ("_target_", str, field(default="cosched.Phase", repr=False)),
        ("shape", str, field(default=name, repr=False)),
    ]
    return make_dataclass(
        f"{shape.__name__}Phase",
        declared,
        bases=(shape, Phase),
        kw_only=True,
        namespace={"__doc__": f"A `{shape.__name__}` that lasts for ``duration``."},
    )


phase = registry.Derived(__name__, "phase", _make)


def lasting(schedule: Schedule, duration: Duration | None) -> Phase:
    """``schedule`` as a phase that lasts for ``duration``, None: to the end."""
    values = {f.name: getattr(schedule, f.name) for f in fields(schedule)} | {"duration": duration}
    kind: type[Any] = type(schedule)
    return replace(schedule, **values) if isinstance(schedule, Phase) else phase(kind)(**values)


@register("phases")
@dataclass(kw_only=True)
class Phases(Schedule):
    """Schedules one after another, each in its own time, which begins at 0 with the phase.

    A phase lasts for its ``duration``, that of the last one may be left out: it goes on to the end of the run. After
    a last phase that does end, the value that it has reached holds. A phase of 0 events is left out. Units count in the
    whole run: ``50%`` is half of the run at any depth. A cycle without a size lasts as long as its phase.

    Attributes:
        phases: the schedules by name, in their order, at least one; each has the fields of its shape and a duration.
    """

    phases: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.phases, Mapping) or not self.phases:
            raise TypeError(f"phases={self.phases!r} must map names to schedules, at least one")
        for name, one in self.phases.items():
            if not isinstance(one, Schedule):
                raise TypeError(
                    f"phases.{name}={one!r} is not a schedule: give it the fields of a shape, as with "
                    f"+cosched/phase@scheduler.phases.{name}=constant"
                )
        self.phases = {name: one if isinstance(one, Phase) else lasting(one, None) for name, one in self.phases.items()}
        for name in list(self.phases)[:-1]:
            if self.phases[name].duration is None:
                raise ValueError(f"phases.{name}.duration is missing: only the last phase may go on to the end")
        super().__post_init__()

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        resolved, first = {}, 0
        whole = run.num_events if run.span is None else run.span
        for name, one in cast("Phases", self).phases.items():
            with within(f"phases.{name}."):
                length = None if one.duration is None else run.events("duration", one.duration, 0)
                end = first + length if length is not None else whole
                if length != 0:
                    one = one.resolve_in(replace(run, span=None if end is None else max(end - first, 1)))
                resolved[name] = one if length == one.duration else replace(one, duration=length)
            first += length or 0
        return self if resolved == self.phases else replace(self, phases=resolved)  # type: ignore[attr-defined,call-arg]

    def _durations(self) -> dict[str, Any]:
        return {}

    def _check_resolved(self) -> None:
        for name, one in self.phases.items():
            with within(f"phases.{name}."):
                if isinstance(one.duration, str):
                    raise ValueError(unresolved("duration", one.duration))
                if one.duration != 0:
                    one._check_resolved()

    def _spans(self) -> Iterator[tuple[Schedule, int, float]]:
        """Each phase of at least one event, the event at which it begins and the one at which it is over."""
        first = 0
        for one in self.phases.values():
            stop = math.inf if one.duration is None else first + one.duration
            if first < stop:
                yield one, first, stop
                first = int(stop) if stop < math.inf else first

    def _values(self, steps: Array) -> Array:
        import numpy as np

        spans = list(self._spans())
        if not spans:
            raise ValueError("phases have no events at all: give one of them a duration above 0")
        values = np.empty(steps.shape)
        for i, (one, first, stop) in enumerate(spans):
            chosen = (steps >= first) & (steps < stop)
            if chosen.any():
                values[chosen] = one._values(steps[chosen] - first)
            if i == len(spans) - 1 and stop < math.inf and (over := steps >= stop).any():
                values[over] = one._reached(int(stop) - first)
        return values

    def _reached(self, duration: int) -> float:
        one, first, stop = [span for span in self._spans() if span[1] < duration][-1]
        return one._reached(int(min(duration, stop)) - first)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        found: list[tuple[float, float] | None] = []
        for one, first, stop in self._spans():
            if within := range(max(events.start, first), int(min(events.stop, stop))):
                found.append(one.bounds(range(within.start - first, within.stop - first)))
        over = events.stop - 1
        if not found or over >= stop:  # what is reached holds
            found.append(hull(self(over)))
        return None if None in found else known(union(*cast("list[Interval]", found)))

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The events at which a phase begins, or a cycle in one; 0 is a start, not a restart."""
        import numpy as np

        found = [np.empty(0, dtype=np.int64)]
        for one, first, stop in self._spans():
            within = int(min(num_events, stop)) - first
            if within > 0:
                found += [np.array([first] if first else [], dtype=np.int64), first + one.restarts(within)]
        return np.concatenate(found)

    def cycles(self, num_events: int) -> int:  # noqa: D102
        spans = [(one, first, int(min(num_events, stop))) for one, first, stop in self._spans() if first < num_events]
        return sum(one.cycles(stop - first) for one, first, stop in spans)

    def _runs(self, num_events: int) -> bool:
        one, first, stop = [span for span in self._spans() if span[1] < num_events][-1]
        return stop > num_events and one._runs(num_events - first)

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        begun: dict[int, int] = {}
        ended: dict[int, int] = {}
        before = 0
        for one, first, stop in self._spans():
            within = range(max(events.start, first) - first, int(max(first, min(events.stop, stop))) - first)
            for mine, inner in zip((begun, ended), one.cycle_bounds(within), strict=True):
                mine |= {first + event: before + number for event, number in inner.items()}
            if stop == math.inf:
                break
            before += one.cycles(int(stop) - first)
            if int(stop) - 1 in events and one._runs(int(stop) - first):
                ended[int(stop) - 1] = before
        return begun, ended
