"""Registration: from a composed config, or from bound schedulers, to handlers on an engine."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events, RemovableEventHandle, State
from ignite.handlers.param_scheduler import BaseParamScheduler, ParamGroupScheduler, ParamScheduler

from cosched.binding.target import Group
from cosched.config.build import Allowed
from cosched.loops import declared
from cosched.loops.declared import leaves
from cosched.loops.ignite.follower import Attachment, IgniteEvent, attachments, known_event
from cosched.loops.ignite.scheduler import BoundScheduler, HasGroups
from cosched.schedules.durations import Event
from cosched.schedules.fields import number
from cosched.schedules.schedule import Schedule

KINDS = (Schedule, BaseParamScheduler, ParamGroupScheduler)  # what a config may make
WARMUP = "ignite.handlers.create_lr_scheduler_with_warmup"  # a function, but one that makes a scheduler
STATE = "engine.state."  # a param_name that begins so is an attribute of the engine's state


class EngineState:
    """The attributes of ``engine.state`` as the one parameter group of an optimizer, for a schedule to drive them.

    A loss weight, a decay, a temperature: ``CosineAnnealingScheduler(EngineState(engine), "temperature", ...)``

    Args:
        engine: the one whose state it is.
    """

    no_parameters = frozenset({*vars(State()), "cycle", "cycle_name"})  # the engine's own, and CycleEvents'
    place = STATE
    absent = "set engine.state.{name} before the scheduler is attached, or give the scheduler an initial_value"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._groups = [vars(engine.state)]

    @property
    def param_groups(self) -> list[Group]:
        """One group: the state's attributes themselves."""
        if self._groups[0] is not vars(self.engine.state):
            self._groups = [vars(self.engine.state)]
        return self._groups

    def declare(self, name: str, value: Any) -> None:
        """Let there be an attribute of that name, which begins with ``value`` unless the state has one already."""
        begin = number("initial_value", value)
        vars(self.engine.state).setdefault(name, int(begin) if begin.is_integer() else begin)


def attach(
    engine: Engine,
    scheduler: Any,
    optimizer: HasGroups | None = None,
    *,
    event: str | Event | IgniteEvent | None = None,
    tokens_per_iteration: int | None = None,
    batch_size: int | None = None,
    allow: Sequence[str] = (),
) -> Any:
    """Register schedulers on ``engine`` and return them bound, in the shape they were given in.

    ``scheduler`` is a bound scheduler, a config node with ``_target_``, or a mapping or sequence of either; a mapping's
    keys are the schedulers' names in ``engine.state.param_history``. ``None``, YAML's ``null``, is no schedule.
    ``optimizer`` is what config nodes are bound to, but for a ``param_name`` of ``engine.state.<attribute>``.
    ``event`` takes the place of every scheduler's own; so do ``tokens_per_iteration`` and ``batch_size``, those of an
    iteration of the engine, for durations such as ``2Btok`` and ``500ksample``.

    A config file is no licence to call anything: made are only the scheduler and schedule classes of ``cosched`` and
    ``ignite.handlers``, and what ``allow`` names: one target, ``"my_package.MyScheduler"``, or all of a package,
    ``"my_package."``, its functions too.

    All is built before anything is registered, so an error leaves the engine as it was.

    Raises:
        ConfigError: a config node cannot be built; the message begins with its key. It is a ValueError.
        TypeError: ``scheduler`` is none of the above, or the optimizer for a config node has no ``param_groups``.
        ValueError: ``event`` is not counted by the engine, or ``batch_size`` or the like is not a count.
    """
    allowed = Allowed(
        kinds=KINDS,
        packages=("cosched.", "ignite.handlers."),
        names=(WARMUP, *([allow] if isinstance(allow, str) else allow)),
    )

    def owner(name: str) -> tuple[Any, str]:
        of_state = name.startswith(STATE)
        return EngineState(engine) if of_state else optimizer, name.removeprefix(STATE)

    data = {"tokens_per_iteration": tokens_per_iteration, "batch_size": batch_size}
    given = {name: count for name, count in data.items() if count is not None}
    bound = declared.bound(scheduler, (BaseParamScheduler, ParamGroupScheduler), allowed, owner)
    if isinstance(event, (str, Event)) or any(isinstance(one, BoundScheduler) for _, one in leaves(bound)):
        event = None if event is None else known_event(event)
    registered: list[Any] = []
    try:
        for name, one in leaves(bound):
            registered.append(one)
            if isinstance(one, BoundScheduler):
                one.knows(**{**one.data, **given})
                one.attach(engine, event, name)
            else:
                _attach_ignites(engine, one, event, name)
    except Exception:
        detach(engine, registered)
        raise
    return bound


def _attach_ignites(engine: Engine, scheduler: Any, event: IgniteEvent | None, name: str | None) -> None:
    """Register a scheduler of ignite's, or of a stranger's after ignite's model."""
    named = isinstance(scheduler, (ParamScheduler, ParamGroupScheduler)) or not hasattr(scheduler, "attach")
    at = event or Events.ITERATION_STARTED
    if not named:  # it is one of the engine's state, or of batches, and prepares what it drives
        at = event or inspect.signature(scheduler.attach).parameters["event"].default
        scheduler.attach(engine, at)
        RemovableEventHandle(at, scheduler, engine).remove()  # for a handler that `detach` knows
    attachment = Attachment(scheduler, engine, at, name)
    attachment.on(at, attachment.apply if named else attachment.apply_unnamed)


def detach(engine: Engine, scheduler: Any = None) -> None:
    """Undo `attach`: remove what has been registered on ``engine``.

    ``scheduler`` is what `attach` returned, or a part of it; None: all that is attached.
    """
    chosen = [one for _, one in leaves(scheduler)]
    for one in list(attachments(engine)):
        if scheduler is None or one.scheduler in chosen:
            one.detach()
