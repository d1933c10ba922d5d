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


class Calls:
    """The calls of a scheduler in a run that begins for it with the first of them.

    Units are resolved for the event that calls it, and it is checked as one that is attached is checked.

    Raises:
        ConfigError: the message begins with the scheduler's name.
    """

    def __init__(self, scheduler: Bound, engine: Engine, name: str) -> None:
        # Where it is called by other code, nobody knows how often: nothing but its units is looked at then.
        self.attribute, events = next(_places(scheduler, engine), (CLOCKS[scheduler.event.value], 0))
        self.name, self.count = name, getattr(engine.state, self.attribute)
        try:
            notes = scheduler.begin(run_of(engine, self.attribute), anew=False, num_events=events)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error
        for text in notes:
            warnings.warn(f"{name}: {text}", stacklevel=4)

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


def _places(scheduler: Bound, engine: Engine) -> Iterator[tuple[str, int | None]]:
    """Where an engine calls ``scheduler``: which of its counts that is, and in how many events; None: unknown."""
    for event, attribute in CLOCKS.items():
        events = run_of(engine, attribute).num_events
        for handler in handlers(engine, Events(event)):
            for lasting in _spans(handler, scheduler, events):
                yield attribute, lasting


def _spans(handler: Any, scheduler: Bound, events: int | None) -> Iterator[int | None]:
    """In how many of ``events`` a handler calls ``scheduler``, each time that it stands in it."""
    if handler is scheduler:
        yield events
    elif isinstance(handler, ParamGroupScheduler):
        for one in handler.schedulers:
            yield from _spans(one, scheduler, events)
    elif isinstance(handler, ConcatScheduler):
        rest = None if events is None else max(events - sum(handler.durations), 0)
        for one, duration in zip(handler.schedulers, [*handler.durations, rest], strict=True):
            yield from _spans(one, scheduler, duration)
