"""Durations as a config declares them, ``10ep``, ``25%``, ``2Btok``, and the run that makes them event counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

MAX_EVENTS = 2**53  # event counts up to here are exact in float64, so positions can be computed there

Duration = int | str  # events of the schedule's own event, or a number with a unit

FORM = re.compile(r"(-?[0-9]{1,400})(?:\.([0-9]{1,400}))? ?(ep|it|%|([kMBGT]?)(tok|sample))")
_FORMS = (
    "an integer counts events; units are '10ep' (epochs), '500it' (whole iterations), '25%' (of the run), '2Btok' "
    "(tokens) and '500ksample' (samples), with k, M, B or G, T for their thousands, millions, billions, trillions"
)
_PREFIXES = {"": 0, "k": 3, "M": 6, "B": 9, "G": 9, "T": 12}  # the powers of ten
_WHOLE = {"it": "iterations", "tok": "tokens", "sample": "samples"}  # what has no parts, by unit

DATA = {"tok": "tokens_per_iteration", "sample": "batch_size"}  # by unit of data, how many of it an iteration has


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
        tokens_per_iteration: how many tokens an iteration has, for durations such as ``2Btok``.
        batch_size: how many samples an iteration has, for durations such as ``500ksample``.

    Raises:
        ValueError: ``tokens_per_iteration`` or ``batch_size`` is not a whole number of at least 1.
    """

    per_epoch: bool = False
    epoch_length: int | None = None
    max_epochs: int | None = None
    max_iters: int | None = None
    span: int | None = None
    tokens_per_iteration: int | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        for name in DATA.values():
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value < MAX_EVENTS):
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1 (and below 2**53), or None")

    def knowing(self, **data: Any) -> Run:
        """The same run, where what it does not know of ``data`` is filled in."""
        return replace(self, **{name: one for name, one in data.items() if getattr(self, name) is None})

    def after(self, events: int) -> Run:
        """What is left of the run after so many of the counted events; nothing of one that has ended."""
        if self.num_events is None:
            return self
        left = max(self.num_events - events, 0)
        return replace(
            self, max_epochs=left if self.per_epoch else None, max_iters=None if self.per_epoch else left, span=None
        )

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
        names = ("epoch_length", "max_epochs", "max_iters", *DATA.values())
        known = {name: getattr(self, name) for name in names}
        return ", ".join(f"{name}={value}" for name, value in known.items() if value or name in names[:2])

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
        elif unit in DATA:
            count = amount // self._data(field, duration, unit)
        elif (unit == "ep") is self.per_epoch:
            count, part = divmod(amount, scale)
            if part:
                raise ValueError(f"{field}={duration!r} is not a whole number of epochs, and they are what is counted")
        elif self.epoch_length is None:
            raise self._unknown_epochs(field, duration)
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

    def _data(self, field: str, duration: str, unit: str) -> int:
        """How many tokens or samples each of the counted events has."""
        per_iteration: int | None = getattr(self, DATA[unit])
        if per_iteration is None:
            raise ValueError(
                f"{field}={duration!r} needs the number of {_WHOLE[unit]} in an iteration, but {self}: give the run a "
                f"{DATA[unit]}, as a field of the scheduler or where it is attached, or declare {self._plainer()}"
            )
        if not self.per_epoch:
            return per_iteration
        if self.epoch_length is None:
            raise self._unknown_epochs(field, duration)
        return per_iteration * self.epoch_length

    def _unknown_epochs(self, field: str, duration: str) -> ValueError:
        return ValueError(
            f"{field}={duration!r} needs the number of iterations in an epoch, but {self}: give the run an "
            f"epoch_length, or declare {self._plainer()}"
        )

    def _plainer(self) -> str:
        return "epochs, as in '10ep'" if self.per_epoch else "iterations, as in '500it'"


def parse(field: str, text: str) -> tuple[int, int, str]:
    """The numerator, the denominator and the unit of a declared duration; iterations, tokens and samples are whole.

    Raises:
        ValueError: ``text`` is not a duration.
    """
    match = FORM.fullmatch(text)
    if match is None or (match[2] and match[3] == "it"):
        raise ValueError(f"{field}={text!r} is not a duration: {_FORMS}")
    if text.startswith("-"):
        raise ValueError(f"{field}={text!r} must not be negative: {_FORMS}")
    decimals, prefix, unit = match[2] or "", match[4] or "", match[5] or match[3]
    amount, scale = int(match[1] + decimals) * 10 ** _PREFIXES[prefix], 10 ** len(decimals)
    if unit in ("ep", "%"):
        return amount, scale, unit
    if amount % scale:
        raise ValueError(f"{field}={text!r} is not a duration, for {_WHOLE[unit]} have no parts: {_FORMS}")
    return amount // scale, 1, unit
