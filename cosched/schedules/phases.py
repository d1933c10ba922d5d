"""Schedules one after another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cosched.schedules.durations import Run
from cosched.schedules.phase import Phase, lasting
from cosched.schedules.registry import register
from cosched.schedules.remedies import within
from cosched.schedules.schedule import S, Schedule, unresolved
from cosched.schedules.sequence import Rounds, Sequence, Span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Array, Bounds


@dataclass(kw_only=True)
class PhasedSchedule(Schedule):
    """What schedules that consist of phases share; `Phases` says what they are.

    Attributes:
        phases: the schedules by name, in their order, at least one; each has the fields of its shape, a duration and a
            skip.
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

    def _run_from(self, run: Run, first: int) -> Run:
        """The run that the units of a phase count in, which begins at the event ``first``."""
        return run

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        own = cast("PhasedSchedule", self)
        resolved, first = {}, 0
        whole = run.num_events if run.span is None else run.span
        for name, one in own.phases.items():
            with within(f"phases.{name}."):
                inner = own._run_from(run, first)
                length = None if one.duration is None else inner.events("duration", one.duration, 0)
                end = first + length if length is not None else whole
                if length != 0:
                    one = one.resolve_in(replace(inner, span=None if end is None else max(end - first, 1)))
                resolved[name] = one if length == one.duration else replace(one, duration=length)
            first += length or 0
        resolved = _joined(resolved, None)
        return self if resolved == own.phases else replace(self, phases=resolved)  # type: ignore[call-arg]

    def _open(self) -> str | None:
        for name, one in self.phases.items():
            if one.duration != 0:
                start = one._open()
                return start and f"phases.{name}.{start}"
        return None

    def _begun_at(self: S, value: float) -> S:
        return replace(self, phases=_joined(cast("PhasedSchedule", self).phases, value))  # type: ignore[call-arg]

    def _durations(self) -> dict[str, Any]:
        return {}

    def _lay_out(self) -> Sequence:
        self._check_begun()
        for name, one in self.phases.items():
            if isinstance(one.duration, str):
                raise ValueError(f"phases.{name}.{unresolved('duration', one.duration)}")
        spans, first = [], 0
        for name, one in _joined(self.phases, None).items():
            if one.duration == 0:
                continue
            with within(f"phases.{name}."):
                one._check_resolved()
            stop = math.inf if one.duration is None else first + one.duration
            spans.append(Span(one, first, stop))
            first = first if one.duration is None else int(stop)
        if not spans:
            raise ValueError("phases have no events at all: give one of them a duration above 0")
        return Sequence(spans)

    @property
    def _sequence(self) -> Sequence:
        return self._once(type(self)._lay_out)

    def _check_resolved(self) -> None:
        self._once(type(self)._lay_out)

    def _values(self, steps: Array) -> Array:
        return self._sequence.values(steps)

    def _reached(self, duration: int) -> float:
        return self._sequence.reached(duration)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        return self._sequence.bounds(events)

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The events at which a phase begins, or a cycle in one; 0 is a start, not a restart."""
        return self._sequence.restarts(num_events)

    def cycles(self, num_events: int) -> int:  # noqa: D102
        return self._sequence.cycles(num_events)

    def _runs(self, num_events: int) -> bool:
        return self._sequence.runs(num_events)

    def cycle_bounds(self, events: range) -> Bounds:  # noqa: D102
        return self._sequence.cycle_bounds(events)


def _joined(phases: Mapping[str, Any], before: float | None) -> dict[str, Any]:
    """The phases, their durations in events, where each open start has the value that is reached before it.

    ``before`` is what is reached before the first of them; None: nothing, and its start stays as it is.
    """
    joined, last = dict(phases), ""
    for name, one in phases.items():
        if one.duration == 0:
            continue
        if one._open() is not None:
            if last:
                before = _end(joined[last], f"phases.{last}.")
            if before is None:
                break
            with within(f"phases.{name}."):
                joined[name] = one._begun_at(before)
        last = name
    return joined


def _end(one: Any, path: str) -> float:
    import numpy as np

    with within(path), np.errstate(all="ignore"):
        one._check_resolved()
        return cast("float", one._reached(one.duration))


@register("phases")
@dataclass(kw_only=True)
class Phases(PhasedSchedule):
    """Schedules one after another, each in its own time, which begins at 0 with the phase.

    A phase lasts for its ``duration``, that of the last one may be left out: it goes on to the end of the run. After
    a last phase that does end, the value that it has reached holds. A phase of 0 events is left out. Units count in the
    whole run: ``50%`` is half of the run at any depth. A cycle without a size lasts as long as its phase.

    A phase whose ``start_value`` is null or left out, or the ``value`` of a constant, begins at the value that the
    phase before has reached. The phases can be repeated, all of them or, as a phase of others, a few: a stable phase
    and a decay again and again, as in Wen et al., "Understanding Warmup-Stable-Decay Learning Rates" (2024).

    >>> from cosched import LinearCyclical
    >>> down = LinearCyclical(start_value=1, end_value=0.5, cycle_size=2, monotonic=True, num_cycles=1)
    >>> hold = Phase(shape="constant")
    >>> Phases(phases={"down": lasting(down, 2), "hold": lasting(hold, 2)}, repeat=None).values(range(6)).tolist()
    [1.0, 0.75, 0.5, 0.5, 1.0, 0.75]

    Attributes:
        repeat: how often they come, all of them in their order, at least once; null: again and again, to the end.
    """

    repeat: int | None = 1

    _least: ClassVar[Mapping[str, int]] = {"repeat": 1}

    def __post_init__(self) -> None:
        super().__post_init__()
        last = list(self.phases)[-1]
        if self.repeat != 1 and self.phases[last].duration is None:
            raise ValueError(
                f"phases.{last}.duration is missing: a phase that goes on to the end cannot be repeated, and "
                f"repeat={self.repeat}"
            )

    def _begun_at(self: S, value: float) -> S:
        own = cast("Phases", self)
        if own.repeat == 1:
            return super()._begun_at(value)
        first = Phases(phases=_joined(own.phases, value))
        period = first._period
        end = first._reached(period)
        again = Phases(phases=_joined(own.phases, end), repeat=None if own.repeat is None else own.repeat - 1)
        if (other := again._sequence.reached(2 * period)) != end and own.repeat != 2:
            raise ValueError(
                f"{self._open()} is missing, and the repetitions end at different values, {end} and then {other}: "
                "give it a value"
            )
        phases = {"first": lasting(first, period), "again": again}
        return replace(self, phases=phases, repeat=1)  # type: ignore[call-arg]

    @property
    def _period(self) -> int:
        return sum(one.duration for one in self.phases.values())

    def _lay_out(self) -> Sequence:
        once = super()._lay_out()
        if self.repeat == 1:
            return once
        period = self._period
        return Sequence([Span(Rounds(once, period), 0, math.inf if self.repeat is None else self.repeat * period)])


@register("branched")
@dataclass(kw_only=True)
class Branched(PhasedSchedule):
    """A schedule of which another one has taken the place: the phase ``trunk``, then ``branch`` to the end of the run.

    It is what ``on_mismatch=branch`` makes of a checkpoint's schedule and the configured one. Units of a phase count
    what is left of the run where the phase begins: for a branch that leaves at half of the run, ``50%`` is a quarter
    of the run.

    >>> from cosched import Constant, CosineAnnealing
    >>> decay = CosineAnnealing(start_value=None, end_value=0, cycle_size="50%", num_cycles=1)
    >>> branched = Branched(phases={"trunk": lasting(Constant(value=0.5), 60), "branch": decay})
    >>> branched.resolve(epoch_length=10, max_epochs=10).phases["branch"].cycle_size
    20
    """

    def _run_from(self, run: Run, first: int) -> Run:
        return run.after(first)

    @property
    def at(self) -> int:
        """The event at which the branch begins, once that is known."""
        return sum(one.duration for one in list(self.phases.values())[:-1])


def branched(trunk: Schedule, events: int, branch: Schedule) -> Schedule:
    """``trunk`` for so many events, then ``branch``; what has no events there is left out."""
    while isinstance(trunk, Branched) and trunk.at >= events:  # its own branch has not begun
        trunk = next(iter(trunk.phases.values()))
    return Branched(phases={"trunk": lasting(trunk, events), "branch": lasting(branch, None)}) if events else branch
