"""Our shapes as bound schedulers, each with ignite's positional arguments and its own; any other shape by its name.

Each signature is written out, for readers, editors and type checkers; a test compares it with the shape's fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any, ClassVar, TypeVar

from cosched.binding.bound import Mismatch
from cosched.loops.ignite.follower import IgniteEvent
from cosched.loops.ignite.scheduler import BoundScheduler
from cosched.schedules.cyclical import (
    CosineAnnealing,
    ExponentialAnnealing,
    LinearCyclical,
    PolynomialAnnealing,
    SqrtAnnealing,
)
from cosched.schedules.durations import Duration, Event
from cosched.schedules.spelling import did_you_mean
from cosched.schedules.phases import Phases, Scaled
from cosched.schedules.registry import shape as registered
from cosched.schedules.schedule import Schedule
from cosched.schedules.shapes import Constant, InverseSqrt, PiecewiseLinear

Init = TypeVar("Init", bound=Callable[..., None])


def _made(shape: type[Schedule], given: dict[str, Any]) -> Schedule:
    """A schedule of the arguments that are fields of the shape; they are taken out of ``given``.

    Raises:
        TypeError: there is an argument that neither the shape nor a bound scheduler has.
    """
    names = [f.name for f in fields(shape)]
    for name in given.keys() - {*names, *inspect.signature(BoundScheduler).parameters}:
        raise TypeError(f"{shape.__name__} has no field {name!r}: {did_you_mean(name, names)}")
    return shape(**{name: given.pop(name) for name in names if name in given})


def _constructor(declared: Init) -> Init:
    """A constructor with the signature of ``declared`` that makes the class's schedule of its fields, and binds it."""
    signature = inspect.signature(declared)

    @wraps(declared)
    def construct(self: BoundScheduler, *args: Any, **kwargs: Any) -> None:
        for name in kwargs.keys() - signature.parameters.keys():
            known = did_you_mean(name, list(signature.parameters)[1:])
            raise TypeError(f"{type(self).__name__} has no argument {name!r}: {known}")
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        del given["self"]
        schedule = self._schedule_from(given)
        BoundScheduler.__init__(self, schedule=schedule, **given)

    return construct  # type: ignore[return-value]


class ShapeScheduler(BoundScheduler):
    """What the bound schedulers of one shape share; arguments that are not the shape's are `BoundScheduler`'s."""

    shape: ClassVar[type[Schedule]]

    @classmethod
    def _schedule_from(cls, given: dict[str, Any]) -> Schedule:
        return _made(cls.shape, given)


class CyclicalScheduler(ShapeScheduler):
    """What the bound schedulers share whose shape has the fields of `CyclicalSchedule` and no more."""

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_value: float,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        warmup_duration: Duration = 0,
        num_cycles: int | None = None,
        endpoint: bool = False,
        amplitude_mult: float = 1.0,
        amplitude_decay: float = 1.0,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class CosineAnnealingScheduler(CyclicalScheduler):
    """Anneals a parameter from ``start_value`` to ``end_value`` along half a cosine wave over each cycle."""

    shape = CosineAnnealing


class SqrtAnnealingScheduler(CyclicalScheduler):
    """Anneals a parameter along one minus a square root over each cycle."""

    shape = SqrtAnnealing


class ExponentialAnnealingScheduler(CyclicalScheduler):
    """Anneals a parameter by equal factors over each cycle."""

    shape = ExponentialAnnealing


class LinearCyclicalScheduler(ShapeScheduler):
    """Moves a parameter linearly to ``end_value`` and, unless ``monotonic``, back to ``start_value`` in each cycle."""

    shape = LinearCyclical

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_value: float,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        warmup_duration: Duration = 0,
        num_cycles: int | None = None,
        endpoint: bool = False,
        amplitude_mult: float = 1.0,
        amplitude_decay: float = 1.0,
        monotonic: bool = False,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class PolynomialAnnealingScheduler(ShapeScheduler):
    """Anneals a parameter as a power of what remains of each cycle, linearly where the power is 1."""

    shape = PolynomialAnnealing

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_value: float,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        warmup_duration: Duration = 0,
        num_cycles: int | None = None,
        endpoint: bool = False,
        amplitude_mult: float = 1.0,
        amplitude_decay: float = 1.0,
        power: float = 1.0,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class ConstantScheduler(ShapeScheduler):
    """Holds a parameter at one value."""

    shape = Constant

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        value: float,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class InverseSqrtScheduler(ShapeScheduler):
    """Lets a parameter fall as the inverse square root, for ever."""

    shape = InverseSqrt

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_value: float,
        timescale: Duration,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class PiecewiseLinearScheduler(ShapeScheduler):
    """Moves a parameter through given points in straight lines."""

    shape = PiecewiseLinear

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        milestones: Sequence[Any],
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class PhasesScheduler(ShapeScheduler):
    """Drives a parameter with several schedules, one after another, as one."""

    shape = Phases

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        phases: Mapping[str, Any],
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class ScaledScheduler(ShapeScheduler):
    """Drives a parameter with another schedule's values, scaled and clipped."""

    shape = Scaled

    @_constructor
    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        schedule: Any,
        factor: float = 1.0,
        lower: float | None = None,
        upper: float | None = None,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
    ) -> None: ...


class RegisteredScheduler(BoundScheduler):
    """Drives a parameter with the shape that is registered under a name, given with its fields.

    It is how a config binds a shape of another package. In Python, make the schedule and a `BoundScheduler` of it.
    """

    def __init__(
        self,
        optimizer: Any,
        shape: str,
        param_name: str = "lr",
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
        **fields: Any,
    ) -> None:
        schedule = self._schedule_from(fields | {"shape": shape})
        super().__init__(
            optimizer,
            schedule,
            param_name,
            save_history,
            param_group_index,
            param_group=param_group,
            relative=relative,
            event=event,
            on_mismatch=on_mismatch,
        )

    @classmethod
    def _schedule_from(cls, given: dict[str, Any]) -> Schedule:
        return _made(registered(given.pop("shape")), given)
