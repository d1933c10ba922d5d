"""Schedules: pure functions of the event index, with no optimizer, no torch and no counter.

A schedule is a plain dataclass whose fields are also the schema that Hydra shows and checks (``cosched.config``),
so every Hydra app in the environment imports this module at start. NumPy therefore loads at the first value.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from cosched.cycles import Cycles
from cosched.durations import MAX_EVENTS, Duration, Event, Run, parse
from cosched.hints import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

S = TypeVar("S", bound="Schedule")


@dataclass(kw_only=True)
class Schedule:
    """A function of the event index, an immutable dataclass; what every shape has.

    Durations may have units, ``"10ep"``, ``"500it"``, ``"25%"``; then `resolve` gives the schedule in events.
    """

    _durations: ClassVar[Mapping[str, int]] = {}  # the fields that hold a duration, and how many events it needs

    def __post_init__(self) -> None:
        for name, least in self._durations.items():
            setattr(self, name, _duration(name, getattr(self, name), least))
        self._sealed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if "_sealed" in vars(self):
            names = [field.name for field in fields(self)]
            if name not in names:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}: {did_you_mean(name, names)}")
            raise AttributeError(f"a schedule cannot be modified: make another, dataclasses.replace(it, {name}=...)")
        super().__setattr__(name, value)

    def __call__(self, step: int) -> float:
        """The value at event index ``step`` (the first event is 0), in time that does not depend on ``step``."""
        return float(self.values([step])[0])

    def values(self, steps: npt.ArrayLike | range) -> npt.NDArray[np.float64]:
        """The values at the event indices ``steps`` (integers from 0 to 2**53 - 1), an array of the same shape.

        A multiplier that overflows float64 gives ``inf`` or ``nan`` from that cycle on; a bound scheduler refuses it.

        Raises:
            ValueError: ``steps`` holds something else, or a duration has a unit and is not resolved.
        """
        indices = _event_indices(steps)
        self._check_resolved()
        return self._values(indices.ravel()).reshape(indices.shape)

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The event indices below ``num_events`` at which a new cycle begins, ascending; 0 is a start, no restart."""
        import numpy as np

        return np.empty(0, dtype=np.int64)

    def cycle_bounds(self, events: range) -> tuple[dict[int, int], dict[int, int]]:
        """By event index within ``events``, the cycles (numbered from 1) that begin there, and that end with it.

        A cycle ends with its last annealing event: the warm-up is between two cycles.
        """
        return {}, {}

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
        declared = {name: getattr(self, name) for name in self._durations}
        events = {name: run.events(name, declared[name], least) for name, least in self._durations.items()}
        return self if events == declared else replace(self, **events)

    def _counted(self) -> Event:
        return Event.ITERATION_STARTED

    def _check_resolved(self) -> None:
        for name in self._durations:
            if isinstance(value := getattr(self, name), str):
                raise ValueError(
                    f"{name}={value!r} is no number of events until the run is known: attach the scheduler to an "
                    "engine, or call resolve(epoch_length=..., max_epochs=...) and use what it returns"
                )

    def _values(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        raise NotImplementedError


@dataclass(kw_only=True)
class CyclicalSchedule(Schedule):
    """What every cyclical shape shares: restarts, multipliers, warm-up between cycles, a limit.

    Cycle ``k`` anneals from ``S_k`` to ``E_k`` during ``L_k`` events, then warms up to ``S_{k+1}`` during ``W_k``::

        L_0 = cycle_size,  L_{k+1} = int(L_k * cycle_mult)          S_k = start_value * start_value_mult**k
        W_0 = warmup_duration,  W_{k+1} = int(W_k * cycle_mult)     E_k = end_value * end_value_mult**k
        value = S_k + (E_k - S_k) * shape(p / L_k)                  p < L_k events into the cycle
        value = E_k + (S_{k+1} - E_k) * (p - L_k) / W_k             L_k <= p < L_k + W_k

    An event is whatever the schedule is bound to, an iteration or an epoch. A cycle that would shrink below 2 events
    is not begun. After the last cycle its final value holds, with no warm-up. Instances cannot be modified.

    Raises:
        ValueError: a number is not finite or out of its field's range, or a text is no duration.
        TypeError: a field holds something that is not a number of its kind.
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

    _durations: ClassVar[Mapping[str, int]] = {"cycle_size": 2, "warmup_duration": 0}

    def __post_init__(self) -> None:
        for name in ("start_value", "end_value", "start_value_mult", "end_value_mult"):
            setattr(self, name, _number(name, getattr(self, name)))
        self.cycle_mult = _number("cycle_mult", self.cycle_mult)
        if self.cycle_mult <= 0:
            raise ValueError(
                f"cycle_mult={self.cycle_mult} must be above 0: 1 keeps the length of every cycle, 2 doubles it"
            )
        if self.num_cycles is not None:
            self.num_cycles = _count("num_cycles", self.num_cycles, 1)
        self.endpoint = _flag("endpoint", self.endpoint)
        super().__post_init__()
        size, warmup = self.cycle_size, self.warmup_duration
        if isinstance(size, str) or self.cycle_mult == 1 or self.num_cycles == 1:
            return
        if int(size * self.cycle_mult) == size:
            restart = f" from event {size + warmup} on" if isinstance(warmup, int) else ""
            warnings.warn(
                f"cycle_mult={self.cycle_mult} has no effect{restart}: int({size} * {self.cycle_mult}) is {size} "
                f"again; use more than {1 + 1 / size:.6g}, or 1",
                stacklevel=3,
            )

    @cached_property
    def _cycles(self) -> Cycles:
        self._check_resolved()
        return Cycles(cast("int", self.cycle_size), cast("int", self.warmup_duration), self.cycle_mult, self.num_cycles)

    def _values(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            cycle, position, size, warmup = self._cycles.locate(steps)
            start: float | npt.NDArray[np.float64] = self.start_value
            end: float | npt.NDArray[np.float64] = self.end_value
            if self.start_value_mult != 1:  # a power costs more than all the rest
                start = start * np.power(self.start_value_mult, cycle)
            if self.end_value_mult != 1:
                end = end * np.power(self.end_value_mult, cycle)
            shape = self._shape(np.minimum(position / (size - self.endpoint), 1.0))
            # start + (end - start) can miss end by rounding; a cycle that ends, ends exactly there.
            values = np.where(shape == 1.0, end, start + (end - start) * shape)
            if self.warmup_duration:
                ramp = np.maximum(position - size, 0.0) / np.maximum(warmup, 1.0)
                values += (start * self.start_value_mult - values) * ramp
        return values

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:  # noqa: D102
        return self._cycles.starts(num_events)[1:]

    def nth_cycle(self, cycle: int) -> tuple[int, int, int] | None:
        """The first event, annealing events and warm-up events of a cycle (the first is 0), if there is one."""
        return self._cycles.nth(cycle)

    def cycles(self, num_events: int) -> int:
        """How many cycles have begun before the event ``num_events``."""
        import numpy as np

        return int(self._cycles.locate(np.array([num_events - 1.0]))[0][0]) + 1 if num_events else 0

    def cycle_bounds(self, events: range) -> tuple[dict[int, int], dict[int, int]]:  # noqa: D102
        import numpy as np

        steps = np.arange(events.start, events.stop, dtype=np.float64)
        cycle, position, size, _ = self._cycles.locate(steps)

        def numbers(chosen: npt.NDArray[np.bool_]) -> dict[int, int]:
            return dict(zip(steps[chosen].astype(int).tolist(), (cycle[chosen] + 1).astype(int).tolist(), strict=True))

        return numbers(position == 0), numbers(position == size - 1)

    def holds_from(self, num_events: int) -> int | None:
        """The event below ``num_events`` at which the last cycle is over and its final value holds, if there is one."""
        return self._cycles.end(num_events)

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far from the start value (0) to the end value (1) a cycle is at the fraction ``x`` of its length."""
        raise NotImplementedError


@dataclass(kw_only=True)
class CosineAnnealing(CyclicalSchedule):
    """Anneals from start to end value along half a cosine wave, then restarts: ``shape(x) = (1 - cos(pi * x)) / 2``.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (ICLR 2017), equation 5.
    """

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import numpy as np

        return (1.0 - np.cos(np.pi * x)) / 2.0


@dataclass(kw_only=True)
class LinearCyclical(CyclicalSchedule):
    """Moves linearly from start to end value and back within each cycle: ``shape(x) = 1 - abs(2 * x - 1)``.

    With ``monotonic`` it only moves there, ``shape(x) = x``; a warm-up between cycles needs that.
    Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.
    """

    monotonic: bool = False  # true: one linear move from start to end value per cycle, no way back

    def __post_init__(self) -> None:
        self.monotonic = _flag("monotonic", self.monotonic)
        if self.warmup_duration and not self.monotonic:
            raise ValueError(
                f"warmup_duration={self.warmup_duration} needs monotonic=True, for a triangle ends where the next one "
                "starts: set monotonic=True or warmup_duration=0"
            )
        super().__post_init__()

    def _shape(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return x if self.monotonic else 1.0 - abs(2.0 * x - 1.0)


def _event_indices(steps: npt.ArrayLike | range) -> npt.NDArray[np.float64]:
    import numpy as np

    array = np.arange(steps.start, steps.stop, steps.step) if isinstance(steps, range) else np.asarray(steps)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= MAX_EVENTS):
        raise ValueError(f"steps={steps!r} must be event indices: integers from 0 to 2**53 - 1")
    return array.astype(np.float64)


def _plain(value: Any) -> Any:
    """``value`` as the Python number in it, where it is a NumPy scalar or a tensor of one element."""
    return value.item() if hasattr(value, "item") else value


def _number(field: str, value: Any) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{field}={value!r} is not a number: give a finite float")
    if not math.isfinite(value):
        raise ValueError(f"{field}={value} is not finite: give a finite number")
    return float(value)


def _flag(field: str, value: Any) -> bool:
    value = _plain(value)
    if not isinstance(value, bool):
        raise TypeError(f"{field}={value!r} must be true or false")
    return value


def _duration(field: str, value: Any, least: int) -> Duration:
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
