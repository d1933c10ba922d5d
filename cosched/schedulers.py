"""Bound schedulers: a pure schedule that drives one parameter of an optimizer, as an ignite ``ParamScheduler``."""

from __future__ import annotations

import inspect
import math
from array import array
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from functools import cache
from typing import Any, ClassVar

from ignite.engine import Engine
from ignite.handlers.param_scheduler import ParamScheduler

from cosched import progress
from cosched.clock import BLOCK, Follower, IgniteEvent, known_event
from cosched.config import Binding, ConfigError, Mismatch
from cosched.durations import Event, Run
from cosched.hints import did_you_mean
from cosched.phases import Phases, Scaled
from cosched.schedules import Schedule, flag
from cosched.shapes import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    PiecewiseLinear,
    PolynomialAnnealing,
    SqrtAnnealing,
)
from cosched.targets import Group, Target


class _ConstructorSignature:
    """The constructor's signature, for classes only: on an instance ``inspect`` would take it for ``__call__``'s."""

    def __get__(self, instance: object, owner: type[BoundScheduler]) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        return _signature(owner)


@cache
def _signature(cls: type[BoundScheduler]) -> inspect.Signature:
    """``(optimizer, param_name, <6 fields>, save_history, param_group_index, *, <the rest>)`` from the dataclasses."""
    if not hasattr(cls, "schedule_type"):
        raise TypeError(f"{cls.__name__} has no schedule: use one of its subclasses, or declare their schedule_type")
    own = fields(cls.schedule_type)
    declared = {f.name: f for f in (*own, *fields(Binding))}
    positional = [*(f.name for f in own[:6]), "save_history", "param_group_index"]

    def parameter(name: str, kind: Any) -> inspect.Parameter:
        default = declared[name].default
        empty = inspect.Parameter.empty
        return inspect.Parameter(
            name, kind, default=empty if default is MISSING else default, annotation=declared[name].type
        )

    either, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter("optimizer", either, annotation="Optimizer"),
            inspect.Parameter("param_name", either, annotation="str"),
            *(parameter(name, either) for name in positional),
            *(parameter(name, keyword) for name in declared if name not in {"param_name", *positional}),
        ]
    )


class BoundScheduler(ParamScheduler):
    """A schedule bound to one parameter in one or all groups of an optimizer.

    The positional arguments stand in ignite's order; the rest is keyword-only. The fields are those of the schedule
    (``schedule_type``) and of `cosched.config.Binding`, where each is described.

    Called by hand, or added with ``engine.add_event_handler``, it counts its own calls. Through `attach` (or
    `cosched.attach`) it follows the engine's clock instead, so a restored engine continues the curve.

    Raises:
        TypeError: ``optimizer`` has no sequence ``param_groups``, or a field is unknown, missing or of a wrong type.
        ValueError: a number is out of range, ``param_name`` is in no group, or ``param_group_index`` not a group.
    """

    schedule_type: ClassVar[type[Schedule]]
    __signature__ = _ConstructorSignature()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        signature = _signature(type(self))
        for name in kwargs.keys() - signature.parameters.keys():
            known = did_you_mean(name, signature.parameters)
            raise TypeError(f"{type(self).__name__} has no argument {name!r}: {known}")
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        for name in ("save_history", "relative"):
            given[name] = flag(name, given[name])
        if not isinstance(given["param_name"], str):
            raise TypeError(f"param_name={given['param_name']!r} must be the name of a number, as 'lr' or 'betas[0]'")
        if not isinstance(given["param_group"], (str, type(None))):
            raise TypeError(f"param_group={given['param_group']!r} must be a pattern of names, or None for every group")
        super().__init__(given["optimizer"], given["param_name"], given["save_history"], given["param_group_index"])
        self.declared = self.schedule_type(**{f.name: given[f.name] for f in fields(self.schedule_type)})
        self._schedule: Schedule = self.declared
        self._run: Run | None = None  # the run in which the schedule was resolved
        self._loaded = self._attached = False  # loaded: there is progress that no run has continued yet
        self.on_mismatch = _policy(given["on_mismatch"])
        self.event = known_event(given["event"])
        self.param_group, self.relative = given["param_group"], given["relative"]
        self.target = Target(self.optimizer, self.param_name, self.param_group_index, self.param_group, self.relative)
        self._first, self._stop = 0, 0  # the events whose values are in self._values
        self._values = array("d")

    @property
    def schedule(self) -> Schedule:
        """The pure schedule, a function of the event index; its durations are in events once an engine has started."""
        return self._schedule

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._first, self._stop, self._values = 0, 0, array("d")

    def __call__(self, engine: Engine | None, name: str | None = None) -> None:
        """Apply the value at ``event_index`` and move to the next; record it under ``name``, if histories are kept."""
        value = self.get_param()
        self.target.write(value)
        self.event_index += 1
        if self._save_history and engine is not None:
            self._record(engine, name, value)

    def _record(self, engine: Engine, name: str | None, value: float) -> None:
        history = getattr(engine.state, "param_history", None)
        if history is None:
            history = engine.state.param_history = {}  # type: ignore[attr-defined]
        history.setdefault(name or self.param_name, []).append(self.target.values(value))

    @property
    def optimizer_param_groups(self) -> list[Group]:
        """The groups that are driven."""
        return self.target.groups

    def get_param(self) -> float:
        """The value at ``event_index``: the next to be applied."""
        index, first = self.event_index, self._first
        return self._values[index - first] if first <= index < self._stop else self._evaluate(index)

    def _evaluate(self, index: int) -> float:
        """The value at ``index``; those of the events after it are kept, so that most events cost a look-up."""
        block = self._schedule.values(range(index, index + BLOCK))
        values = array("d", block.tobytes())  # indexed as fast as a list, made much faster
        if not math.isfinite(values[0]):
            raise OverflowError(
                f"{self.param_name} is {values[0]} at event {index}: a multiplier has overflowed; use multipliers "
                "of at most 1, or limit num_cycles"
            )
        self._first, self._values = index, values if math.isfinite(abs(block).max()) else values[:1]
        self._stop = index + len(self._values)
        return values[0]

    def attach(  # type: ignore[override]  # one clock, so no list of events
        self,
        engine: Engine,
        event: str | Event | IgniteEvent | None = None,
        name: str | None = None,
    ) -> None:
        """Apply, at each ``event`` (default: the scheduler's own), the value of the engine's iteration or epoch.

        ``event`` may carry ignite's filters: ``Events.ITERATION_STARTED(every=4)`` applies every fourth value.
        ``name`` is the key in ``engine.state.param_history``, by default the parameter's name.
        """
        event = self.event = self.event if event is None else known_event(event)
        self._attached = True
        follower = Follower(self, engine, event, name or self.param_name)
        counts_iterations = follower.attribute == "iteration"
        write = self.target.write

        values, first, stop = self._values, 0, 0

        # What `__call__` does, at the clock's index and without a call or a look-up that can be spared: this runs in
        # every event. It takes no argument, for to pass the engine ignite would resolve a weak reference each time.
        def apply() -> None:
            nonlocal values, first, stop
            state = engine.state
            index = (state.iteration if counts_iterations else state.epoch) - 1
            if values is not self._values or not first <= index < stop:
                self._evaluate(index)
                values, first, stop = self._values, self._first, self._stop
            write(values[index - first])
            self.event_index = index + 1
            if self._save_history:
                self._record(engine, name, values[index - first])

        engine.add_event_handler(event, apply)

    def begin(self, run: Run, anew: bool) -> None:
        """Resolve the schedule for a run that an engine starts, or continues.

        Raises:
            ValueError: it cannot be resolved, or differs from the one that the progress so far was made on.
        """
        schedule = self.declared.resolve_in(run)
        if anew and self._loaded and self.event_index and self.on_mismatch is not Mismatch.config:
            raise ValueError(
                f"a state of event {self.event_index} was loaded, but the engine starts at 0: restore the engine too, "
                "trainer.load_state_dict(...), for its clock is what the schedule follows"
            )
        if not anew and self._run is not None:
            differing = progress.differences(progress.to_plain(self._schedule), progress.to_plain(schedule))
            if self._keeps_checkpoint(
                differing, f"this run ({run}) has other durations than the one ({self._run}) before"
            ):
                schedule = self._schedule
        self.schedule, self._run, self._loaded = schedule, run, False

    def _keeps_checkpoint(self, differing: list[str], what: str) -> bool:
        """Whether to go on with the checkpoint's schedule, where it is not the configured one.

        Raises:
            ConfigError: nobody has chosen.
        """
        if differing and self.on_mismatch is Mismatch.error:
            raise ConfigError(
                f"{what}: {'; '.join(differing)}. Choose: on_mismatch=config goes on with what is configured here, "
                "on_mismatch=checkpoint with what was saved there"
            )
        return bool(differing) and self.on_mismatch is Mismatch.checkpoint

    def state_dict(self) -> dict[str, Any]:
        """The progress, and what it is the progress of, as plain data."""
        return {
            "event_index": self.event_index,
            "save_history": self.save_history,
            "param_name": self.param_name,
            "param_group_index": self.param_group_index,
            "param_group": self.param_group,
            "relative": self.relative,
            "event": self.event.value,
            "schedule": progress.to_plain(self.declared),
            "run": None if self._run is None else asdict(self._run),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue at the saved event index; nothing changes unless all of ``state_dict`` fits.

        Where its schedule is another one, ``on_mismatch`` decides. The state of ignite's own cosine or linear cyclical
        scheduler is taken too. An attached scheduler follows the engine, which is to be restored as well.

        Raises:
            TypeError: ``state_dict`` is not a mapping.
            ValueError: a key is missing or wrong, or the state belongs to another parameter or schedule.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict should be a dictionary, but given {type(state_dict)}")
        own = self.state_dict()
        theirs = state_dict.keys() >= progress.IGNITE_KEYS
        if missing := (["event_index"] if theirs else own.keys()) - state_dict.keys():
            raise ValueError(f"state_dict lacks {sorted(missing)}: it was not saved by a {type(self).__name__}")
        if theirs:
            self._load_ignite(state_dict)
            return
        index, history = progress.index(state_dict["event_index"]), state_dict["save_history"]
        if not isinstance(history, bool):
            raise ValueError(f"save_history={history!r} in state_dict must be True or False")
        run = progress.run_from_plain(state_dict["run"])
        saved = progress.from_plain(state_dict["schedule"])
        if not isinstance(saved, Schedule):
            raise ValueError(f"schedule={saved!r} in state_dict must hold the fields of a schedule")
        resolved = saved if run is None else saved.resolve_in(run)
        binding = ("param_name", "param_group_index", "param_group", "relative", "event")
        others = progress.differences({key: state_dict[key] for key in binding}, {key: own[key] for key in binding})
        differing = progress.differences(progress.to_plain(saved), own["schedule"])
        keep = self._keeps_checkpoint(others + differing, "the checkpoint has another schedule")
        if keep and others:
            raise ConfigError(f"on_mismatch=checkpoint takes the schedule alone, but {'; '.join(others)}")
        if keep:
            self.declared = saved
        if keep or not differing:
            self.schedule, self._run = resolved, run
        else:
            self.schedule, self._run = self.declared, None
        self.event_index, self._loaded = index, True
        if not self._attached:  # ignite's composites put it back so; of a run it is for the config to say
            self.save_history = history

    def _load_ignite(self, state_dict: Mapping[str, Any]) -> None:
        index, differing = progress.from_ignite(state_dict, self._schedule)
        binding = ("param_name", "param_group_index")
        differing += progress.differences(
            {key: state_dict.get(key) for key in binding}, {key: getattr(self, key) for key in binding}
        )
        if self._keeps_checkpoint(differing, "ignite's scheduler had another schedule"):
            raise ConfigError(
                f"{'; '.join(differing)}, and ignite does not save what it began with: construct the scheduler with "
                "the numbers that ignite's was constructed with"
            )
        self.event_index, self._loaded = index, True

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[int]]:
        """``[event_index, value]`` for the first ``num_events`` events; arguments as for the constructor.

        No optimizer is needed and nothing is touched.
        """
        names = {f.name for f in fields(cls.schedule_type)}
        for name in scheduler_kwargs.keys() - _signature(cls).parameters.keys():
            raise TypeError(f"{cls.__name__} has no argument {name!r}: {did_you_mean(name, names)}")
        schedule = cls.schedule_type(**{name: value for name, value in scheduler_kwargs.items() if name in names})
        return [[i, value] for i, value in enumerate(schedule.values(range(num_events)).tolist())]


def _policy(value: Any) -> Mismatch:
    try:
        return Mismatch(getattr(value, "value", value))
    except ValueError:
        choices = ", ".join(one.value for one in Mismatch)
        raise ValueError(f"on_mismatch={value!r} is none of {choices}") from None


class CosineAnnealingScheduler(BoundScheduler):
    """Anneals a parameter from ``start_value`` to ``end_value`` along half a cosine wave over each cycle."""

    schedule_type = CosineAnnealing


class LinearCyclicalScheduler(BoundScheduler):
    """Moves a parameter linearly to ``end_value`` and, unless ``monotonic``, back to ``start_value`` in each cycle."""

    schedule_type = LinearCyclical


class PolynomialAnnealingScheduler(BoundScheduler):
    """Anneals a parameter as a power of what remains of each cycle, linearly where the power is 1."""

    schedule_type = PolynomialAnnealing


class SqrtAnnealingScheduler(BoundScheduler):
    """Anneals a parameter along one minus a square root over each cycle."""

    schedule_type = SqrtAnnealing


class ExponentialAnnealingScheduler(BoundScheduler):
    """Anneals a parameter by equal factors over each cycle."""

    schedule_type = ExponentialAnnealing


class ConstantScheduler(BoundScheduler):
    """Holds a parameter at one value."""

    schedule_type = Constant


class InverseSqrtScheduler(BoundScheduler):
    """Lets a parameter fall as the inverse square root, for ever."""

    schedule_type = InverseSqrt


class PiecewiseLinearScheduler(BoundScheduler):
    """Moves a parameter through given points in straight lines."""

    schedule_type = PiecewiseLinear


class PhasesScheduler(BoundScheduler):
    """Drives a parameter with several schedules, one after another, as one."""

    schedule_type = Phases


class ScaledScheduler(BoundScheduler):
    """Drives a parameter with another schedule's values, scaled and clipped."""

    schedule_type = Scaled
