"""Following an engine's clock: all that is registered on an engine when a scheduler is attached to it."""

from __future__ import annotations

import gc
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

from ignite.engine import CallableEventWithFilter, Engine, EventEnum, Events, RemovableEventHandle, State
from ignite.handlers.param_scheduler import BaseParamScheduler, ParamGroupScheduler

from cosched.binding.bound import Bound
from cosched.config.schemas import ConfigError
from cosched.schedules.durations import Event, Run
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import BLOCK

# The events whose count the engine keeps in an attribute of the same name: iteration_started -> state.iteration.
CLOCKS = {e.value: attribute for e in Events if e.value.startswith(attribute := State.event_to_attr.get(e, "-"))}

IgniteEvent = Events | CallableEventWithFilter


class CycleEvents(EventEnum):
    """Fired where a schedule's cycles begin and end, on an engine that a scheduler is attached to.

    ``engine.state.cycle`` is the number of the cycle, from 1, and ``engine.state.cycle_name`` the scheduler's name.
    ``CYCLE_STARTED`` comes when the cycle's first value is applied, ``CYCLE_COMPLETED`` when the iteration or epoch of
    its last one is over: the moment for a snapshot. A warm-up between two cycles belongs to neither.

    ``CycleEvents.CYCLE_COMPLETED(name="lr")`` is for one of several schedulers; ignite's filters count the cycles.
    """

    CYCLE_STARTED = "cycle_started"
    CYCLE_COMPLETED = "cycle_completed"

    def __call__(  # noqa: D102  # ignite's, with `name`
        self, *args: Any, name: str | None = None, **filters: Any
    ) -> CallableEventWithFilter:
        if name is None:
            return super().__call__(*args, **filters)
        others = super().__call__(*args, **filters).filter if args or filters else None
        return CallableEventWithFilter(self.value, _ByName(self, name, others), self.name)


class _ByName:
    """The event filter of one scheduler's cycles."""

    waiting: ClassVar[WeakSet[_ByName]] = (
        WeakSet()
    )  # those that no engine has asked yet; which engine will ask is not known

    def __init__(self, event: CycleEvents, name: str, others: Callable[[Engine, int], bool] | None) -> None:
        self.event, self.name, self.others = event, name, others
        self.waiting.add(self)

    def __call__(self, engine: Engine, event: int) -> bool:
        self.waiting.discard(self)
        named = engine.state.cycle_name == self.name  # type: ignore[attr-defined]
        return named and (self.others is None or self.others(engine, event))


def known_event(event: str | Event | IgniteEvent) -> IgniteEvent:
    """``event`` as ignite's, if the engine keeps a clock for it: by its value, or by the name that YAML shows.

    Raises:
        ValueError: it has no clock.
    """
    value = getattr(event, "value", event)
    if isinstance(value, str) and value in Event.__members__:
        value = Event[value].value
    if not isinstance(value, str) or value not in CLOCKS:
        raise ValueError(
            f"event={event!r} has no clock that a schedule could follow: use Events.ITERATION_STARTED or "
            "Events.EPOCH_STARTED, or count the calls: engine.add_event_handler(event, scheduler)"
        )
    return event if isinstance(event, (Events, CallableEventWithFilter)) else Events(value)


def run_of(engine: Engine, attribute: str) -> Run:
    """The run that an engine is in, for a schedule that counts its ``iteration`` or its ``epoch``."""
    state = engine.state
    return Run(
        per_epoch=attribute == "epoch",
        epoch_length=state.epoch_length,
        max_epochs=state.max_epochs,
        max_iters=getattr(state, "max_iters", None),  # since ignite 0.5.5
    )


class Attachment:
    """A scheduler, of any kind, that is registered on an engine; it lives as long as its handlers there."""

    def __init__(self, scheduler: Any, engine: Engine, event: IgniteEvent, name: str | None) -> None:
        self.scheduler, self.engine, self.event = scheduler, engine, event
        self.name = name or str(getattr(scheduler, "param_name", type(scheduler).__name__))
        self.handles: list[RemovableEventHandle] = []
        _attached.setdefault(engine, WeakSet()).add(self)

    def __str__(self) -> str:
        return f"{type(self.scheduler).__name__} {self.name!r} on {self.event.value}"

    def __deepcopy__(self, memo: Any) -> Attachment:
        raise TypeError(
            f"an engine with attached schedulers cannot be copied, for {self.name} follows its clock: "
            "copy it before cosched.attach, or after cosched.detach"
        )

    def apply(self) -> None:
        """Call the scheduler, where it is one of ignite's that counts its calls."""
        self.scheduler(self.engine, self.name)

    def apply_unnamed(self) -> None:
        """Call the scheduler, where it is one of ignite's that takes no name for its history."""
        self.scheduler(self.engine)

    def on(self, event: Any, handler: Callable[..., Any], *args: Any) -> None:
        """Register a handler, and remember it for `detach`."""
        self.handles.append(self.engine.add_event_handler(event, handler, *args))

    def detach(self) -> None:
        """Remove all that has been registered."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        _attached.get(self.engine, WeakSet()).discard(self)


_attached: WeakKeyDictionary[Engine, WeakSet[Attachment]] = WeakKeyDictionary()


def attachments(engine: Engine | None = None) -> Iterator[Attachment]:
    """What is attached to ``engine``, or to any engine."""
    for one in list(_attached) if engine is None else [engine]:
        yield from list(_attached.get(one, ()))


class Follower(Attachment):
    """A scheduler of ours that is attached to an engine: what happens at the start of each run, and at its cycles."""

    scheduler: Bound

    def __init__(self, scheduler: Bound, engine: Engine, event: IgniteEvent, name: str) -> None:
        super().__init__(scheduler, engine, event, name)
        self.attribute = CLOCKS[event.value]
        self.superseded: str | None = None  # by what drives the same numbers now, on another engine
        self._completing: RemovableEventHandle | None = None
        self._seen: object = None  # the state of the scheduler for which the next are known
        self._ahead = self._quiet = (0, 0)
        self._begun: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._turns: list[int] = []
        if event.value.endswith("_completed"):
            warnings.warn(
                f"{name}: at {event.value} a value comes too late for the first step, which uses the optimizer's own; "
                f"attach to {self.attribute}_started",
                stacklevel=4,
            )
        engine.register_events(*CycleEvents, event_to_attr=dict.fromkeys(CycleEvents, "cycle"))
        self.on(Events.STARTED, self.start)

    @property
    def count(self) -> int:
        """How many of the events there have been."""
        count: int = getattr(self.engine.state, self.attribute)
        return count

    def start(self) -> None:
        """Resolve the schedule, refuse what cannot be right, and restore the value of a run that is continued.

        Raises:
            ConfigError: the message begins with the scheduler's name.
        """
        scheduler = self.scheduler
        try:
            self._check_driven_once()
            begun = max(self.count, scheduler.event_index)  # with a filter the clock is ahead of what was applied
            run = run_of(self.engine, self.attribute)
            notes = scheduler.begin(run, anew=self.engine.state.iteration == 0, at=begun)
            self._check_names()
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        for text in notes:
            warnings.warn(f"{self.name}: {text}", stacklevel=2)
        self._complete_no_more()
        last = self.count
        # With a filter the value that holds is older than the clock.
        while last and self.event.filter is not None and not self.event.filter(self.engine, last):
            last -= 1
        if last:
            scheduler.restore(last)

    def watch(self) -> None:
        """What a handler for every event does, for a scheduler that is applied at some of them only."""
        index = self.count - 1
        if self._seen is not self.scheduler.current or not self._quiet[0] <= index < self._quiet[1]:
            self._quiet = (index, self.announce(index))

    def announce(self, index: int) -> int:
        """Fire the events of a cycle that begins at ``index``, or ends with it; return the event to be asked again."""
        if self.superseded is not None:
            raise RuntimeError(
                f"{self} does not drive its parameter any more, for {self.superseded} has begun: give each engine a "
                "scheduler and an optimizer of its own, or use cosched.detach"
            )
        self._complete_no_more()
        if self._seen is not self.scheduler.current or not self._ahead[0] <= index < self._ahead[1]:
            self._seen, self._ahead = self.scheduler.current, (index, index + BLOCK)
            self._begun, self._ended = self.scheduler.schedule.cycle_bounds(range(*self._ahead))
            self._turns = sorted({*self._begun, *self._ended, *(event + 1 for event in self._ended)})
        if index in self._begun:
            self._fire(CycleEvents.CYCLE_STARTED, self._begun[index])
        if index in self._ended:
            completed, number = Events(f"{self.attribute}_completed"), self._ended[index]
            self._completing = self.engine.add_event_handler(
                completed, lambda: self._fire(CycleEvents.CYCLE_COMPLETED, number)
            )
        following = bisect_right(self._turns, index)
        return self._turns[following] if following < len(self._turns) else self._ahead[1]

    def _fire(self, event: CycleEvents, number: int) -> None:
        self.engine.state.cycle, self.engine.state.cycle_name = number, self.name  # type: ignore[attr-defined]
        self.engine.fire_event(event)

    def _complete_no_more(self) -> None:
        if self._completing is not None:
            self._completing.remove()
            self._completing = None

    def detach(self) -> None:
        """Remove all that has been registered."""
        self._complete_no_more()
        super().detach()

    def _check_names(self) -> None:
        """Refuse a filter for the cycles of a scheduler that is not there: it would silently never fire."""
        if self._unknown():
            gc.collect()  # those of engines that are gone do not count
        for filter_ in self._unknown():
            raise ValueError(
                f"{filter_.event}(name={filter_.name!r}) waits for none of the schedulers: "
                f"{did_you_mean(filter_.name, dict.fromkeys(one.name for one in attachments(self.engine)))}"
            )

    def _unknown(self) -> list[_ByName]:
        names = {one.name for one in attachments()}
        return [one for one in list(_ByName.waiting) if one.name not in names]

    def _check_driven_once(self) -> None:
        """Refuse two schedulers, or one twice, that drive the same number of the same parameter group.

        What another engine's scheduler drives is taken from it: its engine may be one that has ended.
        """
        driven = numbers(self.scheduler)
        here = [(str(one), numbers(one.scheduler)) for one in attachments(self.engine) if one is not self]
        here += [
            (f"{type(handler).__name__} on {event}", numbers(handler))
            for event in CLOCKS
            for handler in handlers(self.engine, Events(event))
            if isinstance(handler, (BaseParamScheduler, ParamGroupScheduler))
        ]
        for other, theirs in here:
            for key in driven.keys() & theirs.keys():
                raise ValueError(
                    f"{driven[key]} is driven twice, by {self} and by {other}: "
                    "remove one, or give them different param_group_index or param_group"
                )
        self.superseded = None
        for one in attachments():
            if not isinstance(one, Follower) or one.engine is self.engine:
                continue
            if driven.keys() & numbers(one.scheduler).keys():
                one.superseded = f"{self} of another engine"
                one.scheduler.renew()


class _Listening:
    """Compared with each handler of an engine, it takes note of them."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __eq__(self, other: object) -> bool:
        self.seen.append(other)
        return False

    __hash__ = None  # type: ignore[assignment]


def handlers(engine: Engine, event: Events) -> list[Any]:
    """The handlers of an event; ignite only says whether a given one is among them, and compares it with all."""
    listening = _Listening()
    engine.has_event_handler(listening, event)  # type: ignore[arg-type]
    return listening.seen


def numbers(scheduler: Any) -> dict[tuple[int, str], str]:
    """What identifies each number that ``scheduler`` writes, with its name."""
    if isinstance(scheduler, ParamGroupScheduler):
        return {key: name for one in scheduler.schedulers for key, name in numbers(one).items()}
    if isinstance(scheduler, Bound):
        return scheduler.target.numbers()
    number, first = scheduler.param_name, getattr(scheduler, "param_group_index", None) or 0
    groups = getattr(scheduler, "optimizer_param_groups", [])
    return {(id(group), number): f"{number} of group {group.get('name', first + i)}" for i, group in enumerate(groups)}
