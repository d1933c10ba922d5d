"""Schedules: pure functions of the event index, with no optimizer, no torch and no counter.

A schedule is a plain dataclass whose fields are also the schema that Hydra shows and checks (``cosched.config``),
so every Hydra app in the environment imports this module at start. NumPy therefore loads at the first value.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from cosched.cycles import Cycles, cycles
from cosched.durations import MAX_EVENTS, Duration, Event, Run, parse
from cosched.hints import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Bounds = tuple[dict[int, int], dict[int, int]]

S = TypeVar("S", bound="Schedule")

CHUNK = 2**13  # events evaluated at once, so that what lies between stays in the processor's cache


@dataclass(kw_only=True)
class Schedule:
    """A function of the event index, an immutable dataclass; what every shape has.

    A shape declares its fields and computes its values in `_values`. The fields are checked by their types. Durations
    may have units, ``"10ep"``, ``"500it"``, ``"25%"``; then `resolve` gives the schedule in events.

    Raises:
        ValueError: a number is not finite or out of its field's range, or a text is no duration.
        TypeError: a field holds something that is not a number of its kind.
    """

    _least: ClassVar[Mapping[str, int]] = {}  # how many events a duration needs, where that is more than none

    def __post_init__(self) -> None:
        for f in fields(self):
            kind, value = str(getattr(f.type, "__name__", f.type)), getattr(self, f.name)
            check = _CHECKS.get(kind.removesuffix(" | None"))
            if check is not None and (value is not None or kind in _CHECKS):
                setattr(self, f.name, check(f.name, value, self._least.get(f.name, 0)))
        self._sealed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if "_sealed" in vars(self):
            names = [f.name for f in fields(self)]
            if name not in names:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}: {did_you_mean(name, names)}")
            raise AttributeError(f"a schedule cannot be modified: make another, dataclasses.replace(it, {name}=...)")
        super().__setattr__(name, value)

    def __call__(self, step: int) -> float:
        """The value at event index ``step`` (the first event is 0), in time that does not depend on ``step``."""
        return float(self.values([step])[0])

    def values(self, steps: npt.ArrayLike | range) -> Array:
        """The values at the event indices ``steps`` (integers from 0 to 2**53 - 1), an array of the same shape.

        A multiplier that leaves float64's range gives ``inf`` or ``nan`` from that cycle on; no run starts with it.

        Raises:
            ValueError: ``steps`` holds something else, or a duration has a unit and is not resolved.
        """
        import numpy as np

        indices = _event_indices(steps)
        self._check_resolved()
        flat = indices if isinstance(indices, range) else indices.ravel()
        values = np.empty(len(flat))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for i in range(0, len(flat), CHUNK):
                part = flat[i : i + CHUNK]
                if isinstance(part, range):
                    part = np.arange(part.start, part.stop, part.step)
                values[i : i + CHUNK] = self._values(part.astype(np.float64))
        return values if isinstance(indices, range) else values.reshape(indices.shape)

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The event indices below ``num_events`` at which a new cycle begins, ascending; 0 is a start, no restart."""
        import numpy as np

        return np.empty(0, dtype=np.int64)

    def cycles(self, num_events: int) -> int:
        """How many cycles have begun before the event ``num_events``; what has no cycles is one."""
        return min(num_events, 1)

    def cycle_bounds(self, events: range) -> Bounds:
        """By event index within ``events``, the cycles (numbered from 1) that begin there, and that end with it.

        A cycle ends with its last annealing event: the warm-up is between two cycles.
        """
        return ({0: 1} if 0 in events else {}), {}

    def _runs(self, num_events: int) -> bool:
        """Whether, with the event before ``num_events``, a cycle has begun that has not ended."""
        return True

    def resolve(
        self: S,
        *,
        epoch_length: int | None = None,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        event: Event | None = None,
    ) -> S:
        """The same schedule with its durations in events, for a run of which so much is known.

        ``event`` is what the schedule counts, by default iterations, or what its config says.

        Raises:
            ValueError: too little is known, or a duration comes out too short; the message names it.
        """
        per_epoch = (event or self._counted()) is Event.EPOCH_STARTED
        return self.resolve_in(
            Run(per_epoch=per_epoch, epoch_length=epoch_length, max_epochs=max_epochs, max_iters=max_iters)
        )

    def resolve_in(self: S, run: Run) -> S:
        """What `resolve` does, for a run that is described already."""
        declared = self._durations()
        events = {name: run.events(name, declared[name], self._least.get(name, 0)) for name in declared}
        return self if events == declared else replace(self, **events)

    def _durations(self) -> dict[str, Any]:
        """The fields that count events of this schedule; a phase's own duration counts those of the whole."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.type in _TIMED and f.name != "duration"}

    def _check_resolved(self) -> None:
        for name, value in self._durations().items():
            if not isinstance(value, int):
                raise ValueError(unresolved(name, value))

    def _counted(self) -> Event:
        return Event.ITERATION_STARTED

    def _values(self, steps: Array) -> Array:
        raise NotImplementedError

    def _reached(self, duration: int) -> float:
        """The value that holds after so many events, if the schedule then ends."""
        import numpy as np

        return float(self._values(np.array([float(duration)]))[0])


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

    _least: ClassVar[Mapping[str, int]] = {"cycle_size": 2}

    def __post_init__(self) -> None:
        if self.num_cycles is not None:
            self.num_cycles = _count("num_cycles", self.num_cycles, 1)
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


def unresolved(name: str, value: Duration | None) -> str:
    """What is wrong with a duration that still has its unit, or lasts to an end that is not known yet."""
    return (
        f"{name}={value!r} is no number of events until the run is known: attach the scheduler to an engine, "
        "or call resolve(epoch_length=..., max_epochs=...) and use what it returns"
    )


def _event_indices(steps: npt.ArrayLike | range) -> npt.NDArray[np.int64] | range:
    import numpy as np

    bounds = np.asarray((steps[0], steps[-1]) if isinstance(steps, range) and steps else steps)
    if bounds.size and (bounds.dtype.kind not in "iu" or bounds.min() < 0 or bounds.max() >= MAX_EVENTS):
        raise ValueError(f"steps={steps!r} must be event indices: integers from 0 to 2**53 - 1")
    return steps if isinstance(steps, range) else bounds


def _plain(value: Any) -> Any:
    """``value`` as the Python number in it, where it is a NumPy scalar or a tensor of one element."""
    return value.item() if hasattr(value, "item") else value


def number(field: str, value: Any, _: int = 0) -> float:
    """``value`` as a float.

    Raises:
        TypeError: it is no number; the message names the field.
        ValueError: it is not finite.
    """
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{field}={value!r} is not a number: give a finite float")
    try:
        plain = float(value)
    except OverflowError:  # an integer beyond float64's range
        plain = math.inf
    if not math.isfinite(plain):
        raise ValueError(f"{field}={value} is not finite: give a finite number")
    return plain


def flag(field: str, value: Any, _: int = 0) -> bool:
    """``value`` as a bool.

    Raises:
        TypeError: it is none; the message names the field.
    """
    value = _plain(value)
    if not isinstance(value, bool):
        raise TypeError(f"{field}={value!r} must be true or false")
    return value


def duration(field: str, value: Any, least: int) -> Duration:
    """``value`` as a duration: a text with a unit, or a count of at least ``least`` events.

    Raises:
        TypeError: it is neither text nor a number.
        ValueError: it is no duration, or out of its range.
    """
    if isinstance(value, str):
        parse(field, value)
        return value
    return _count(field, value, least)


def _count(field: str, value: Any, least: int) -> int:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{field}={value!r} is not a number of events: give a whole number of at least {least}")
    if not isinstance(value, int) or not least <= value < MAX_EVENTS:
        raise ValueError(f"{field}={value} must be a whole number of at least {least} (and below 2**53)")
    return value


_CHECKS: Mapping[str, Callable[[str, Any, int], Any]] = {
    "float": number,
    "bool": flag,
    "Duration": duration,
}
_TIMED = ("Duration", "Duration | None")
