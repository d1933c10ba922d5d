"""Schedules: pure functions of the event index, with no optimizer, no torch and no counter.

A schedule is a plain dataclass whose fields are also the schema that Hydra shows and checks (``cosched.config``).
NumPy loads at the first value, for what composes configs has no need of it.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from cosched.schedules import docstrings
from cosched.schedules.durations import MAX_EVENTS, Duration, Event, Run
from cosched.schedules.fields import checks, frozen, timed
from cosched.schedules.remedies import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Bounds = tuple[dict[int, int], dict[int, int]]

S = TypeVar("S", bound="Schedule")
T = TypeVar("T")

Window = tuple[int, int, Sequence[float]]

BLOCK = 4096  # consecutive events that one evaluation serves
CHUNK = 2**14  # events evaluated at once: what lies between stays in the cache, and calls cost little for each event


@dataclass(kw_only=True)
class Schedule:
    """A function of the event index, an immutable dataclass; what every shape has.

    A shape declares its fields, says in its docstring what they mean, and computes its values in `_values`, which takes
    and returns arrays of float64. The fields are checked by their types. Durations may have units, ``"10ep"``,
    ``"25%"``, ``"2Btok"``; then `resolve` gives the schedule in events. Two schedules are equal, and have one hash, if
    they are of one type and their fields are equal.

    Raises:
        ValueError: a number is not finite or out of its field's range, or a text is not a duration.
        TypeError: a field holds something that is not a number of its kind.
    """

    # What is evaluated is not a part of what is compared or saved.
    __slots__ = ("__dict__", "__weakref__", "_made", "_window")

    _least: ClassVar[Mapping[str, int]] = {}  # the least number of events of a duration, or value of an integer
    _start: ClassVar[str] = "start_value"  # the field that may be None where a schedule goes on from another's value

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        docstrings.inherit(cls)

    def __post_init__(self) -> None:
        kind: Any = type(self)
        checked = checks(kind)
        for f in fields(self):
            value = getattr(self, f.name)
            check, optional = checked.get(f.name, (None, True))
            if check is not None and not (optional and value is None):
                value = check(f.name, value, self._least.get(f.name))
            setattr(self, f.name, frozen(value))
        self._window: tuple[int, int, Sequence[float], object] = (0, 0, (), None)
        # torch's LambdaLR loads a state into `__dict__` itself; another seal tells that the fields are others by now.
        self._seal: list[None] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if "_seal" in vars(self):
            names = [f.name for f in fields(self)]
            if name not in names:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}: {did_you_mean(name, names)}")
            raise AttributeError(f"a schedule cannot be modified: make another, dataclasses.replace(it, {name}=...)")
        super().__setattr__(name, value)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, f.name) for f in fields(self))))

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._window = (0, 0, (), None)
        vars(self).update(state)

    def __call__(self, step: int) -> float:
        """The value at event index ``step`` (the first event is 0), in time that does not depend on ``step``."""
        first, stop, values, seal = self._window  # read once: another thread may replace it
        if type(step) is int and first <= step < stop and seal is self._seal:
            return values[step - first]
        return self._look(step)

    def _look(self, step: Any) -> float:
        try:
            index = -1 if isinstance(step, bool) else operator.index(step)
        except TypeError:
            index = -1
        if not 0 <= index < MAX_EVENTS:
            raise ValueError(f"step={step!r} must be an event index: an integer from 0 to 2**53 - 1")
        first, stop, values, seal = self._window
        if seal is self._seal:
            if first <= index < stop:
                return values[index - first]
            if index == stop:  # a walk, in which the next ones will be asked for too
                return self.window(index, min(8 * (stop - first), BLOCK))[2][0]
        import numpy as np

        if seal is not self._seal:  # not yet evaluated
            self._check_resolved()
        with np.errstate(all="ignore"):
            value = self._values(np.array([float(index)])).item()
        self._keep(index, (value,))
        return value

    def window(self, first: int, width: int) -> Window:
        """The values of ``width`` events from ``first`` on, kept for the next calls: first event, one after, values."""
        first_, stop_, values_, seal = self._window
        if first_ <= first and first + width <= stop_ and seal is self._seal:
            return first, first + width, values_[first - first_ : first - first_ + width]
        values = array("d", self.values(range(first, min(first + width, MAX_EVENTS))).tobytes())
        self._keep(first, values)
        return first, first + len(values), values

    def _keep(self, first: int, values: Sequence[float]) -> None:
        object.__setattr__(self, "_window", (first, first + len(values), values, self._seal))

    def _once(self: S, make: Callable[[S], T]) -> T:
        """What ``make`` makes of the fields, made when it is first asked for."""
        seal, maker, made = getattr(self, "_made", (None, None, None))
        if seal is not self._seal or maker is not make:
            made = make(self)
            object.__setattr__(self, "_made", (self._seal, make, made))
        return cast("T", made)

    def values(self, steps: npt.ArrayLike | range) -> Array:
        """The values at the event indices ``steps`` (integers from 0 to 2**53 - 1), an array of the same shape.

        >>> from cosched import CosineAnnealing
        >>> schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=4)
        >>> schedule.values(range(6)).round(3).tolist()
        [1.0, 0.854, 0.5, 0.146, 1.0, 0.854]
        >>> schedule(2)
        0.5

        A multiplier that leaves float64's range gives ``inf`` or ``nan`` from that cycle on; no run starts with it.

        Raises:
            ValueError: ``steps`` holds something else, or a duration has a unit and is not resolved.
        """
        import numpy as np

        indices = _event_indices(steps)
        self._check_resolved()
        flat = indices if isinstance(indices, range) else indices.ravel()
        values = np.empty(len(flat))
        with np.errstate(all="ignore"):
            for i in range(0, len(flat), CHUNK):
                part = flat[i : i + CHUNK]
                if isinstance(part, range):
                    part = np.arange(part.start, part.stop, part.step)
                values[i : i + CHUNK] = self._values(part.astype(np.float64))
        return values if isinstance(indices, range) else values.reshape(indices.shape)

    def bounds(self, events: range) -> tuple[float, float] | None:
        """A lower and an upper bound, finite ones, of the values at consecutive ``events``; None: none is known.

        They are found without a look at each event, so that a run of any length is checked before it starts.
        """
        return None

    def restarts(self, num_events: int) -> npt.NDArray[np.int64]:
        """The event indices below ``num_events`` at which a new cycle begins, ascending; 0 is a start, not a restart.

        >>> from cosched import CosineAnnealing
        >>> CosineAnnealing(start_value=1, end_value=0, cycle_size=10, cycle_mult=2).restarts(100).tolist()
        [10, 30, 70]
        """
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

    def plot(self, num_events: int | None = None, axes: Any = None, **style: Any) -> Any:
        """Draw the first ``num_events`` values with matplotlib, and return the axes; restarts are drawn as jumps.

        Args:
            num_events: how many; None: about three cycles or phases.
            axes: where to draw; None: a figure of its own.
            style: as for matplotlib's ``axes.plot``: ``label="cosine"``, ``color="black"``...

        Raises:
            ValueError: a duration has a unit and is not resolved.
        """
        from cosched.schedules import plotting

        return plotting.plot(self, num_events, axes, **style)

    def _repr_svg_(self) -> str | None:
        from cosched.schedules import plotting

        return plotting.svg(self)  # for notebooks

    def resolve(
        self: S,
        *,
        epoch_length: int | None = None,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        tokens_per_iteration: int | None = None,
        batch_size: int | None = None,
        event: Event | None = None,
    ) -> S:
        """The same schedule with its durations in events, for a run of which so much is known.

        >>> from cosched import CosineAnnealing
        >>> declared = CosineAnnealing(start_value=1, end_value=0, cycle_size="50%")
        >>> declared.resolve(epoch_length=100, max_epochs=3).cycle_size
        150

        Args:
            epoch_length: iterations of an epoch; None: unknown.
            max_epochs: epochs of the run; None: unknown, or ``max_iters`` ends it.
            max_iters: iterations of the run; None: ``max_epochs`` ends it, or its end is unknown.
            tokens_per_iteration: tokens of an iteration; None: unknown, or what its config says.
            batch_size: samples of an iteration, likewise.
            event: what the schedule counts; None: iterations, or what its config says.

        Raises:
            ValueError: too little is known, or a duration comes out too short; the message names it.
        """
        per_epoch = (event or self._counted()) is Event.EPOCH_STARTED
        resolved = self.resolve_in(
            Run(
                per_epoch=per_epoch,
                epoch_length=epoch_length,
                max_epochs=max_epochs,
                max_iters=max_iters,
                tokens_per_iteration=tokens_per_iteration,
                batch_size=batch_size,
            )
        )
        resolved._check_begun()
        return resolved

    def resolve_in(self: S, run: Run) -> S:
        """What `resolve` does, for a run that is described already."""
        declared = self._durations()
        events = {name: run.events(name, declared[name], self._least.get(name, 0)) for name in declared}
        return self if events == declared else replace(self, **events)

    def _open(self) -> str | None:
        """The field that would say where the schedule begins, if it is left to what comes before."""
        return self._start if vars(self).get(self._start, 0.0) is None else None

    def _begun_at(self: S, value: float) -> S:
        """The same schedule, whose start was left open, beginning at ``value``."""
        return replace(self, **{self._start: value})

    def _check_begun(self) -> None:
        if field := self._open():
            raise ValueError(
                f"{field} is missing, and nothing comes before it whose value could be taken: give it a value. It may "
                "be null in a phase that follows another one, and for on_mismatch=branch once a checkpoint is loaded"
            )

    def _durations(self) -> dict[str, Any]:
        """The fields that count events of this schedule; a phase's own duration counts those of the whole."""
        kind: Any = type(self)
        return {name: getattr(self, name) for name in timed(kind)}

    def _check_resolved(self) -> None:
        self._check_begun()
        for name, value in self._durations().items():
            if not isinstance(value, int):
                raise ValueError(unresolved(name, value))

    def _counted(self) -> Event:
        return Event.ITERATION_STARTED

    def _values(self, steps: Array) -> Array:
        raise NotImplementedError

    def _reached(self, duration: int) -> float:
        """The value that holds after so many events, at least one, if the schedule then ends."""
        import numpy as np

        return float(self._values(np.array([float(duration)]))[0])


def unresolved(name: str, value: Duration | None) -> str:
    """What is wrong with a duration that still has its unit, or lasts to an end that is not known yet."""
    return (
        f"{name}={value!r} is not a number of events until the run is known: attach the scheduler to an engine, "
        "or call resolve(epoch_length=..., max_epochs=...) and use what it returns"
    )


def _event_indices(steps: npt.ArrayLike | range) -> npt.NDArray[np.int64] | range:
    import numpy as np

    bounds = np.asarray((steps[0], steps[-1]) if isinstance(steps, range) and steps else steps)
    if bounds.size and (bounds.dtype.kind not in "iu" or bounds.min() < 0 or bounds.max() >= MAX_EVENTS):
        raise ValueError(f"steps={steps!r} must be event indices: integers from 0 to 2**53 - 1")
    return steps if isinstance(steps, range) else bounds
