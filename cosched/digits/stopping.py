"""Ending a run by a signal: the iteration is finished and a checkpoint saved; a second signal ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ignite.distributed as idist
from ignite.engine import Engine, Events

SIGNALS = signal.SIGINT, signal.SIGTERM


class Stopped(KeyboardInterrupt):
    """A signal has ended the run. No ``Exception``, so that it ends a sweep too."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def listening(hear: Callable[[int], None]) -> Iterator[None]:
    """Let ``hear`` have the signals that are to stop a run; in the main thread, for no other has any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda number, frame: hear(number)) for one in SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class Stop:
    """Asks an engine to end after an iteration, at the same one in all ranks, once one of them has a signal.

    Attributes:
        number: of the signal that ends the run; 0: none does.
    """

    def __init__(self, trainer: Engine) -> None:
        self.number = self._heard = 0  # apart, for a signal may come while the ranks compare what they have heard
        self.trainer = trainer
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    def hear(self, number: int) -> None:
        """Take note of a signal; where nobody relays signals to several ranks, do not wait after the second."""
        if self._heard and idist.get_world_size() == 1:
            raise Stopped(number)
        self._heard = number

    def _look(self) -> None:
        self.number = int(idist.all_reduce(self._heard, "MAX")) if idist.get_world_size() > 1 else self._heard
        if self.number:
            self.trainer.terminate()
