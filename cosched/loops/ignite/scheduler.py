"""A bound schedule as an ignite ``ParamScheduler``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypedDict

from ignite.engine import Engine, Events
from ignite.handlers.param_scheduler import ParamScheduler

from cosched.binding.bound import Bound
from cosched.binding.target import Group
from cosched.config.schemas import Mismatch
from cosched.loops.ignite.counting import Calls
from cosched.loops.ignite.follower import Follower, IgniteEvent, attachments, known_event
from cosched.schedules.durations import Event
from cosched.schedules.fields import flag
from cosched.schedules.schedule import Schedule, Window


class HasGroups(Protocol):
    """What can be driven: an optimizer, or any object that has parameter groups."""

    @property
    def param_groups(self) -> Sequence[Group]:
        """The groups, each with its numbers by name."""
        ...


class BindingOptions(TypedDict, total=False):
    """What every bound scheduler takes by keyword, for type checkers; `BoundScheduler` says what it means."""

    param_group: str | None
    relative: bool
    initial_value: float | None
    event: str | Event | IgniteEvent
    on_mismatch: Mismatch | str
    tokens_per_iteration: int | None
    batch_size: int | None


class BoundScheduler(Bound, ParamScheduler):
    """Any schedule, bound to one parameter in one or all groups of an optimizer.

    Called by hand, or added with ``engine.add_event_handler``, it counts its own calls; units are resolved, and values
    checked, at the first call by an engine. Through `attach` (or `cosched.attach`) it follows the engine's clock
    instead, so a restored engine continues the curve.

    Args:
        optimizer: a torch optimizer, or any object that has a sequence ``param_groups``.
        schedule: the curve, a function of the event index.
        param_name: a number in the parameter groups: ``lr``, ``betas[0]``...; in a config also ``engine.state.NAME``.
        save_history: whether to record each applied value in ``engine.state.param_history``.
        param_group_index: the one group to drive, from 0, or negative from the end; by default every group.
        param_group: or the groups whose key ``name`` fits this pattern: ``backbone.*``.
        relative: whether the schedule multiplies what each group held at first; for ``lr`` its ``lr_scale``, too.
        initial_value: what an attribute of ``engine.state`` that does not exist yet begins with; null: it has to exist.
        event: what the schedule counts, ``ITERATION_STARTED`` or ``EPOCH_STARTED``.
        on_mismatch: what holds where a checkpoint has another schedule: ``config``, ``checkpoint``, ``branch``: the
            configured one, which begins where the checkpoint's has come to, or ``error``: stop.
        tokens_per_iteration: tokens of an iteration of the clock, for durations such as ``2Btok``; None: unknown.
        batch_size: samples of an iteration, of all processes together, for durations such as ``500ksample``.

    Raises:
        TypeError: ``optimizer`` has no sequence ``param_groups``, or an argument is of a wrong type.
        ValueError: ``param_name`` is in no group, or the group does not exist.
    """

    _ahead: Window  # the values of the next calls

    def __init__(
        self,
        optimizer: HasGroups,
        schedule: Schedule,
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
    ) -> None:
        history: bool | None = flag("save_history", save_history)
        if initial_value is not None:
            if not hasattr(optimizer, "declare"):
                raise ValueError(
                    f"initial_value={initial_value!r} is for an attribute of engine.state: what an optimizer "
                    f"has as {param_name} at first, its own arguments say"
                )
            optimizer.declare(param_name, initial_value)
        self._calls: Calls | None = None  # until it has been called twice in a run, where durations have units
        # ignite takes any object with groups, too, but says that it wants torch's class.
        ParamScheduler.__init__(self, optimizer, param_name, history, param_group_index)  # type: ignore[arg-type]
        Bound.__init__(
            self,
            optimizer,
            schedule,
            param_name,
            param_group_index=param_group_index,
            param_group=param_group,
            relative=relative,
            event=known_event(event),
            on_mismatch=on_mismatch,
            tokens_per_iteration=tokens_per_iteration,
            batch_size=batch_size,
        )
        self._declared_history = history

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.declared!r}, {self.target.number!r})"

    @property
    def optimizer(self) -> Any:
        """What is driven; it cannot be exchanged."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        if hasattr(self, "target"):  # `vars(self)` would make every attribute slower from then on
            raise AttributeError("optimizer cannot be exchanged: what is driven is bound to it; make another scheduler")
        self._optimizer = optimizer  # by ignite's constructor

    def __call__(self, engine: Engine | None, name: str | None = None) -> None:
        """Apply the value at ``event_index`` and move to the next; record it under ``name``, if histories are kept."""
        index = self.event_index
        first, stop, values = self._ahead
        if not first <= index < stop:
            first, stop, values = self._look_ahead(engine, name)
        value = values[index - first]
        self.target.write(value)
        self.event_index = index + 1
        if self._save_history and engine is not None:
            self._record(engine, name, value)

    @property
    def begun(self) -> bool:
        """Whether a run has begun for it, or gone on with what was loaded."""
        return self._run is not None and not self._loaded

    def _look_ahead(self, engine: Engine | None, name: str | None) -> Window:
        """The window around ``event_index``; in a run that begins, the schedule's own and checked."""
        if engine is not None and self._calls is not None:
            self._calls.check_second(engine)
            self._calls = None
        elif engine is not None and not self.begun:
            self._calls = Calls(self, engine, name or self.param_name)
        index = self.event_index
        with self._explained():
            first, stop, values = self.window(index)
        if self.schedule == self.declared:
            self._calls = None  # it has no units, so nothing else is to be looked at
        if self._calls is not None:
            first, stop, values = index, index + 1, values[index - first : index - first + 1]
        self._ahead = first, stop, values
        return first, stop, values

    def renew(self) -> None:  # noqa: D102  # said in Bound
        super().renew()
        self._ahead = (0, 0, ())

    def get_param(self) -> float:  # noqa: D102  # said in Bound
        with self._explained():
            return super().get_param()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what can be done where a value is asked for that no run has given a meaning yet."""
        try:
            yield
        except ValueError:
            try:
                self.schedule._check_resolved()
            except ValueError as error:
                raise ValueError(
                    f"{error}; what ignite computes without an engine, as create_lr_scheduler_with_warmup and "
                    "simulate_values do, has no run: give it events, or declare a warm-up as a phase of cosched.Phases"
                ) from error
            raise

    def _record(self, engine: Engine, name: str | None, value: float) -> None:
        history = getattr(engine.state, "param_history", None)
        if history is None:
            history = engine.state.param_history = {}  # type: ignore[attr-defined]
        history.setdefault(name or self.param_name, []).append(self.target.values(value))

    @property
    def optimizer_param_groups(self) -> list[Group]:
        """The groups that are driven."""
        return self.target.groups

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
        if self._declared_history is not None:
            self._save_history = self._declared_history
        follower = Follower(self, engine, event, name or self.param_name)
        counts_iterations = follower.attribute == "iteration"
        write, filtered = self.target.write, self.filtered
        current, first, stop, end = None, 0, 0, 0
        values: Sequence[float] = ()

        # What `__call__` does, at the clock's index and without a call or a look-up that can be spared: this runs in
        # every event. It takes no argument, for to pass the engine ignite would resolve a weak reference each time.
        def apply() -> None:
            nonlocal current, values, first, stop, end
            state = engine.state
            index = (state.iteration if counts_iterations else state.epoch) - 1
            known = first <= index < stop and current is self.current
            if not known:
                if current is not self.current or not first <= index < end:
                    current = self.current
                    first, end, values = self.window(index)
                stop = end
            write(values[index - first])
            self.event_index = index + 1
            if self._save_history:
                self._record(engine, name, values[index - first])
            if not (known or filtered):
                stop = min(end, follower.announce(index))  # asked again where a cycle begins or has ended

        follower.on(event, apply)
        if filtered:  # cycles begin and end at other events, too
            follower.on(Events(event.value), follower.watch)

    def detach(self, engine: Engine | None = None) -> None:
        """Undo `attach`, on ``engine`` or on every engine."""
        for one in list(attachments(engine)):
            if one.scheduler is self:
                one.detach()

    def state_dict(self) -> dict[str, Any]:
        """The progress, and what it is the progress of, as plain data."""
        return {**super().state_dict(), "save_history": self.save_history}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # noqa: D102  # said in Bound
        history = state_dict.get("save_history") if isinstance(state_dict, Mapping) else None
        if not isinstance(history, bool) and isinstance(state_dict, Mapping) and "save_history" in state_dict:
            raise ValueError(f"save_history={history!r} in state_dict must be True or False")
        super().load_state_dict(state_dict)
        if isinstance(history, bool) and not any(one.scheduler is self for one in attachments()):
            self._save_history = history  # ignite's composites put it back so; of a run it is for the config to say

    @property
    def save_history(self) -> bool:
        """Whether each applied value is recorded in ``engine.state.param_history``."""
        return self._save_history

    @save_history.setter
    def save_history(self, value: bool) -> None:
        self._save_history = value
        self._declared_history = None  # whoever sets it, as ignite's composites do, may put it back by a state

    @classmethod
    def _schedule_from(cls, given: dict[str, Any]) -> Schedule:
        """The schedule that the constructor's arguments describe, which are taken out of ``given``."""
        schedule: Schedule = given.pop("schedule")
        return schedule

    @classmethod
    def simulate_values(  # type: ignore[override]  # ignite says that they are integers
        cls, num_events: int, **scheduler_kwargs: Any
    ) -> list[list[float]]:
        """``[event_index, value]`` for the first ``num_events`` events; arguments as for the constructor.

        No optimizer is needed and nothing is touched.
        """
        schedule = cls._schedule_from(dict(scheduler_kwargs))
        return [[i, value] for i, value in enumerate(schedule.values(range(num_events)).tolist())]
