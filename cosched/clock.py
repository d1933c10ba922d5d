"""Following an engine's clock: all that is registered on an engine when a scheduler is attached to it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ignite.engine import CallableEventWithFilter, Engine, EventEnum, Events, State
from ignite.handlers.param_scheduler import BaseParamScheduler, ParamGroupScheduler

from cosched.config import ConfigError
from cosched.curves import check, shrinking
from cosched.durations import Event, Run
from cosched.hints import did_you_mean

if TYPE_CHECKING:
    from cosched.schedulers import BoundScheduler

# The events whose count the engine keeps in an attribute of the same name: iteration_started -> state.iteration.
CLOCKS = {e.value: attribute for e in Events if e.value.startswith(attribute := State.event_to_attr.get(e, "-"))}

BLOCK = 4096  # consecutive events that one vectorised evaluation serves

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
        return CallableEventWithFilter(self.value, _ByName(name, others), self.name)


class _ByName:
    """The event filter of one scheduler's cycles."""

    def __init__(self, name: str, others: Callable[[Engine, int], bool] | None) -> None:
        self.name, self.others = name, others

    def __call__(self, engine: Engine, event: int) -> bool:
        named = engine.state.cycle_name == self.name  # type: ignore[attr-defined]
        return named and (self.others is None or self.others(engine, event))


def known_event(event: str | Event | IgniteEvent) -> IgniteEvent:
    """``event`` as ignite's, if the engine keeps a clock for it."""
    value = getattr(event, "value", event)
    if not isinstance(value, str) or value not in CLOCKS:
        raise ValueError(
            f"event={event!r} has no clock that a schedule could follow: use Events.ITERATION_STARTED or "
            "Events.EPOCH_STARTED, or count the calls: engine.add_event_handler(event, scheduler)"
        )
    return Events(value) if isinstance(event, (str, Event)) else event


class Follower:
    """A scheduler that is attached to an engine: what happens at the start of each run, and at its cycles."""

    def __init__(self, scheduler: BoundScheduler, engine: Engine, event: IgniteEvent, name: str) -> None:
        self.scheduler, self.engine, self.event, self.name = scheduler, engine, event, name
        self.attribute = CLOCKS[event.value]
        self._fires: set[CycleEvents] = set()
        if event.value.endswith("_completed"):
            warnings.warn(
                f"{name}: at {event.value} a value comes too late for the first step, which uses the optimizer's own; "
                f"attach to {self.attribute}_started",
                stacklevel=4,
            )
        engine.register_events(*CycleEvents, event_to_attr=dict.fromkeys(CycleEvents, "cycle"))
        engine.add_event_handler(Events.STARTED, self.start)

    def __str__(self) -> str:
        return f"{type(self.scheduler).__name__} {self.name!r} on {self.event.value}"

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
        state, scheduler = self.engine.state, self.scheduler
        run = Run(
            per_epoch=self.attribute == "epoch",
            epoch_length=state.epoch_length,
            max_epochs=state.max_epochs,
            max_iters=state.max_iters,
        )
        try:
            scheduler.begin(run, anew=state.iteration == 0)
            _check_driven_once(self.engine)
            check(scheduler.schedule, run.num_events, scheduler.target.domain, scheduler.target.scales)
            self._check_names()
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        for text in shrinking(scheduler.schedule, run.num_events):
            warnings.warn(f"{self.name}: {text}", stacklevel=2)
        last = self.count
        # With a filter the value that holds is older than the clock.
        while last and self.event.filter is not None and not self.event.filter(self.engine, last):
            last -= 1
        if last:
            scheduler.event_index = last - 1
            scheduler.target.write(scheduler.get_param())
            scheduler.event_index = last
        self._fire_cycles()

    def _fire_cycles(self) -> None:
        """Fire the events of cycles from now on, if anything listens: each handler costs in every event."""
        for which, event in zip(CycleEvents, ("started", "completed"), strict=True):
            if _handlers(self.engine, which) and which not in self._fires:
                self._fires.add(which)
                self.engine.add_event_handler(Events(f"{self.attribute}_{event}"), self._firing(which))

    def _firing(self, which: CycleEvents) -> Callable[[], None]:
        known = range(0)
        numbers: dict[int, int] = {}
        schedule: Any = None

        def fire() -> None:
            nonlocal known, numbers, schedule
            index = self.count - 1
            if index not in known or schedule is not self.scheduler.schedule:
                schedule, known = self.scheduler.schedule, range(index, index + BLOCK)
                numbers = schedule.cycle_bounds(known)[which is CycleEvents.CYCLE_COMPLETED]
            number = numbers.get(index)
            if number is not None:
                self.engine.state.cycle, self.engine.state.cycle_name = number, self.name  # type: ignore[attr-defined]
                self.engine.fire_event(which)

        return fire

    def _check_names(self) -> None:
        """Refuse a filter for the cycles of a scheduler that is not there: it would silently never fire."""
        names = [follower.name for follower in followers(self.engine)]
        for event in CycleEvents:
            for handler in _handlers(self.engine, event):
                for cell in getattr(handler, "__closure__", None) or ():
                    wanted = cell.cell_contents
                    if isinstance(wanted, _ByName) and wanted.name not in names:
                        raise ValueError(
                            f"{event}(name={wanted.name!r}) waits for none of the schedulers: "
                            f"{did_you_mean(wanted.name, names)}"
                        )


def _handlers(engine: Engine, event: Any) -> list[Callable[..., Any]]:
    # ignite has no public way to ask what is registered, only whether a given handler is.
    return [handler for handler, _, _ in engine._event_handlers.get(event, [])]


def followers(engine: Engine) -> Iterator[Follower]:
    """The attached schedulers."""
    for handler in _handlers(engine, Events.STARTED):
        if isinstance(getattr(handler, "__self__", None), Follower):
            yield handler.__self__  # type: ignore[attr-defined]


def _check_driven_once(engine: Engine) -> None:
    """Refuse two schedulers, or one twice, that drive the same number of the same parameter group."""
    driven = [(str(one), _numbers(one.scheduler)) for one in followers(engine)]
    for event in CLOCKS:
        for handler in map(inspect.unwrap, _handlers(engine, Events(event))):
            if isinstance(handler, (BaseParamScheduler, ParamGroupScheduler)):
                driven.append((f"{type(handler).__name__} on {event}", _numbers(handler)))
    for (one, ones), (other, others) in combinations(driven, 2):
        for key in ones.keys() & others.keys():
            raise ValueError(
                f"{ones[key]} is driven twice, by {one} and by {other}: "
                "remove one, or give them different param_group_index or param_group"
            )


def _numbers(scheduler: Any) -> dict[tuple[int, str], str]:
    """What identifies each number that ``scheduler`` writes, with its name."""
    if isinstance(scheduler, ParamGroupScheduler):
        return {key: name for one in scheduler.schedulers for key, name in _numbers(one).items()}
    target = getattr(scheduler, "target", None)
    groups = target.groups if target else getattr(scheduler, "optimizer_param_groups", [])
    number = target.number if target else scheduler.param_name
    first = getattr(scheduler, "param_group_index", None) or 0
    return {(id(group), number): f"{number} of group {group.get('name', first + i)}" for i, group in enumerate(groups)}
