"""Durations as a config declares them, ``10ep``, ``500it``, ``25%``, and the run that makes them event counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

MAX_EVENTS = 2**53  # event counts up to here are exact in float64, so positions can be computed there

Duration = int | str  # events of the schedule's own event, or a number with a unit

_FORM = re.compile(r"(-?[0-9]{1,400})(?:\.([0-9]{1,400}))? ?(ep|it|%)")
_FORMS = "an integer counts events; units are '10ep' (epochs), '500it' (iterations) and '25%' (of the run)"


class Event(Enum):
    """The engine events that a schedule can count; the values are those of ``ignite.engine.Events``."""

    ITERATION_STARTED = "iteration_started"
    EPOCH_STARTED = "epoch_started"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run; None is unknown.

    Attributes:
        per_epoch: whether a schedule counts epochs, or else iterations.
        epoch_length: how many iterations an epoch has.
        max_epochs: how many epochs the run has.
        max_iters: or how many iterations it has, where they end it.
        span: how many events the phase has that is looked at; None: the whole run.
    """

    per_epoch: bool = False
    epoch_length: int | None = None
    max_epochs: int | None = None
    max_iters: int | None = None
    span: int | None = None

    @property
    def num_events(self) -> int | None:
        """How many of the counted events the run has, if that is known."""
        if self.max_iters is None:
            if self.per_epoch or self.max_epochs is None:
                return self.max_epochs
            return self.epoch_length and self.epoch_length * self.max_epochs
        if not self.per_epoch:
            return self.max_iters
        return self.epoch_length and -(-self.max_iters // self.epoch_length)

    def __str__(self) -> str:
        known = {"epoch_length": self.epoch_length, "max_epochs": self.max_epochs, "max_iters": self.max_iters}
        return ", ".join(f"{name}={value}" for name, value in known.items() if value or name != "max_iters")

    def events(self, field: str, duration: Duration | None, least: int) -> int:
        """How many events ``duration``, declared in ``field``, is in this run.

        Parts of an event are cut off, but at least one event is left of what was not declared as 0. None: as long as
        the phase.

        Raises:
            ValueError: the run is not known well enough, or they are fewer than ``least``, or not whole epochs where
                iterations are declared and epochs are counted.
        """
        if isinstance(duration, int):
            return duration
        if duration is None:
            whole = self.num_events if self.span is None else self.span
            if whole is None:
                raise ValueError(
                    f"{field} is missing and would last to the end of the run, which is unknown where {self}: give it, "
                    "or the run an end"
                )
            return max(whole, least)
        amount, scale, unit = parse(field, duration)
        counted = "epochs" if self.per_epoch else "iterations"
        if unit == "%":
            if self.num_events is None:
                ends = "max_epochs" if self.per_epoch else "epoch_length and max_epochs, or max_iters"
                raise ValueError(f"{field}={duration!r} needs a run whose end is known, but {self}: give it {ends}")
            count = amount * self.num_events // (100 * scale)
        elif (unit == "ep") is self.per_epoch:
            count, part = divmod(amount, scale)
            if part:
                raise ValueError(f"{field}={duration!r} is not a whole number of epochs, and they are what is counted")
        elif self.epoch_length is None:
            other = "iterations, as in '500it'" if unit == "ep" else "epochs, as in '10ep'"
            raise ValueError(
                f"{field}={duration!r} needs the number of iterations in an epoch, but {self}: give epoch_length to "
                f"engine.run, or declare {other}"
            )
        elif unit == "ep":
            count = amount * self.epoch_length // scale
        else:
            count, part = divmod(amount, self.epoch_length)
            if part:
                raise ValueError(
                    f"{field}={duration!r} is not a whole number of epochs of {self.epoch_length} iterations, and "
                    f"epochs are counted: give a multiple of {self.epoch_length}it, or epochs"
                )
        count = max(count, 1 if amount else 0)
        if count < least:
            raise ValueError(
                f"{field}={duration!r} is {count} {counted} where {self}: it must be at least {least}, "
                f"so declare more{' or count iterations' if self.per_epoch else ''}"
            )
        return count


def parse(field: str, text: str) -> tuple[int, int, str]:
    """The numerator, the denominator and the unit of a declared duration.

    Raises:
        ValueError: ``text`` is not a duration.
    """
    match = _FORM.fullmatch(text)
    if match is None or (match[2] and match[3] == "it"):
        raise ValueError(f"{field}={text!r} is not a duration: {_FORMS}")
    if text.startswith("-"):
        raise ValueError(f"{field}={text!r} must not be negative: {_FORMS}")
    decimals = match[2] or ""
    return int(match[1] + decimals), 10 ** len(decimals), match[3]
