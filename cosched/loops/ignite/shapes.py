"""Our shapes as bound schedulers, each with ignite's positional arguments and its own; any other shape by its name.

What is positional, and in which order, is written out. What all of them take by keyword stands in a `TypedDict` for
type checkers; at run time signatures and docstrings are completed from the shape's fields and from `BoundScheduler`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cosched.config.schemas import Mismatch
from cosched.loops.ignite.constructors import ShapeScheduler, constructor, document, made
from cosched.loops.ignite.follower import IgniteEvent
from cosched.loops.ignite.scheduler import BindingOptions, BoundScheduler, HasGroups
from cosched.schedules.combined import Product, Scaled
from cosched.schedules.durations import Duration, Event
from cosched.schedules.phases import Branched, Phases
from cosched.schedules.registry import shape as registered
from cosched.schedules.schedule import Schedule
from cosched.schedules.shapes import Constant, InverseSqrt, PiecewiseLinear, StepDecay
from cosched.schedules.stages import Stages

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ConstantScheduler(ShapeScheduler):
    """`cosched.Constant`, bound to a parameter of an optimizer."""

    shape = Constant

    @constructor(Constant)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        value: float | None,
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class InverseSqrtScheduler(ShapeScheduler):
    """`cosched.InverseSqrt`, bound to a parameter of an optimizer."""

    shape = InverseSqrt

    @constructor(InverseSqrt)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        timescale: Duration,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        power: float = 0.5,
        decay_rate: float = 1.0,
        staircase: bool = False,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class StepDecayScheduler(ShapeScheduler):
    """`cosched.StepDecay`, bound to a parameter of an optimizer."""

    shape = StepDecay

    @constructor(StepDecay)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        gamma: float = 0.1,
        every: Duration | None = None,
        milestones: Sequence[Duration] = (),
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class PiecewiseLinearScheduler(ShapeScheduler):
    """`cosched.PiecewiseLinear`, bound to a parameter of an optimizer."""

    shape = PiecewiseLinear

    @constructor(PiecewiseLinear)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        milestones: Sequence[Any],
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class PhasesScheduler(ShapeScheduler):
    """`cosched.Phases`, bound to a parameter of an optimizer."""

    shape = Phases

    @constructor(Phases)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        phases: Mapping[str, Schedule],
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        repeat: int | None = 1,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class BranchedScheduler(ShapeScheduler):
    """`cosched.Branched`, bound to a parameter of an optimizer."""

    shape = Branched

    @constructor(Branched)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        phases: Mapping[str, Schedule],
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class ScaledScheduler(ShapeScheduler):
    """`cosched.Scaled`, bound to a parameter of an optimizer."""

    shape = Scaled

    @constructor(Scaled)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        schedule: Schedule,
        factor: float = 1.0,
        lower: float | None = None,
        upper: float | None = None,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        power: float = 1.0,
        offset: float = 0.0,
        multiple: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class ProductScheduler(ShapeScheduler):
    """`cosched.Product`, bound to a parameter of an optimizer."""

    shape = Product

    @constructor(Product)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        factors: Mapping[str, Schedule],
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class StagesScheduler(ShapeScheduler):
    """`cosched.Stages`, bound to a parameter of an optimizer."""

    shape = Stages

    @constructor(Stages)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        durations: Sequence[Any],
        levels: Sequence[Any],
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        whole: bool = True,
        **options: Unpack[BindingOptions],
    ) -> None: ...


class RegisteredScheduler(BoundScheduler):
    """Drives a parameter with the shape that is registered under a name, given with its fields.

    It is how a config binds a shape of another package. In Python, make the schedule and a `BoundScheduler` of it.

    Args:
        shape: the name under which the shape is registered.
        fields: those of the shape.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        shape: str,
        param_name: str = "lr",
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        param_group: str | None = None,
        relative: bool = False,
        initial_value: float | None = None,
        event: str | Event | IgniteEvent = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
        tokens_per_iteration: int | None = None,
        batch_size: int | None = None,
        **fields: Any,
    ) -> None:
        data = {"tokens_per_iteration": tokens_per_iteration, "batch_size": batch_size}
        given = fields | data | {"shape": shape, "event": event}
        schedule = self._schedule_from(given)
        super().__init__(
            optimizer,
            schedule,
            param_name,
            save_history,
            param_group_index,
            param_group=param_group,
            relative=relative,
            initial_value=initial_value,
            event=event,
            on_mismatch=on_mismatch,
            **{name: given[name] for name in data},
        )

    @classmethod
    def _schedule_from(cls, given: dict[str, Any]) -> Schedule:
        return made(registered(given.pop("shape")), given)


document(RegisteredScheduler)
