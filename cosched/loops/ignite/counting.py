"""A scheduler that counts its calls, added as a handler or inside ignite's composites: the run that it is called in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers.param_scheduler import ConcatScheduler, ParamGroupScheduler

from cosched.binding.bound import Bound
from cosched.config.schemas import ConfigError
from cosched.loops.ignite.follower import CLOCKS, handlers, run_of

Part = tuple[Any, str, int | None]  # a scheduler, its name, in how many events it is called; None: unknown


class Calls:
    """The calls of a scheduler in a run that begins for it with the first of them.

    Units are resolved for the event that calls it, and it is checked as one that is attached is checked; so are those
    that stand in the same composite, though they are called later.

    Raises:
        ConfigError: the message begins with the scheduler's name.
    """

    def __init__(self, scheduler: Bound, engine: Engine, name: str) -> None:
        # Where it is called by other code, nobody knows how often: nothing but its units is looked at then.
        parts: list[Part] = [(scheduler, name, 0)]
        self.attribute = CLOCKS[scheduler.event.value]
        for attribute, beside in _handlers(engine):
            if any(one is scheduler for one, *_ in beside):
                self.attribute, parts = attribute, beside
                break
        self.name, self.count = name, getattr(engine.state, self.attribute)
        for one, own, events in parts:
            if one is scheduler or not one.begun:
                _begin(one, engine, self.attribute, name if one is scheduler else own, events)

    def check_second(self, engine: Engine) -> None:
        """Refuse units where a filter lets only some events pass, for the engine does not tell of filters.

        Raises:
            ConfigError: the message begins with the scheduler's name.
        """
        passed = getattr(engine.state, self.attribute) - self.count
        if passed > 1:
            raise ConfigError(
                f"{self.name}: it counts its calls, and {passed} {self.attribute}s have passed between two of them, so "
                "durations with units have no meaning: give them in events, or follow the clock: "
                f"cosched.attach(engine, scheduler, event=Events.{self.attribute.upper()}_STARTED(every={passed}))"
            )


def _begin(scheduler: Any, engine: Engine, attribute: str, name: str, events: int | None) -> None:
    try:
        notes = scheduler.begin(run_of(engine, attribute), anew=False, num_events=events)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    for text in notes:
        warnings.warn(f"{name}: {text}", stacklevel=5)


def _handlers(engine: Engine) -> Iterator[tuple[str, list[Part]]]:
    """The schedulers in each handler of an engine, with the engine's attribute that counts the calls."""
    for event, attribute in CLOCKS.items():
        events = run_of(engine, attribute).num_events
        for handler in handlers(engine, Events(event)):
            yield attribute, list(_parts(handler, None, events))


def _parts(handler: Any, name: str | None, events: int | None) -> Iterator[Part]:
    """The schedulers of ours in a handler that is called ``events`` times, and how often each of them is called."""
    if isinstance(handler, Bound):
        yield handler, name or handler.param_name, events
    elif isinstance(handler, ParamGroupScheduler):
        for one, own in zip(handler.schedulers, handler.names, strict=True):
            yield from _parts(one, own, events)
    elif isinstance(handler, ConcatScheduler):
        rest = None if events is None else max(events - sum(handler.durations), 0)
        for one, duration in zip(handler.schedulers, [*handler.durations, rest], strict=True):
            yield from _parts(one, name, duration)
