"""A curve in one line of text, and what it is made of, in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosched.schedules.combined import Scaled
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.phases import Branched, PhasedSchedule, Phases
from cosched.schedules.schedule import Schedule
from cosched.sweeps.curves import Curve
from cosched.sweeps.sampling import first_restarts

DOTS = np.array([[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]])  # of a braille letter: left and right, from below
HEIGHT = 4


def sparkline(c: Curve, width: int) -> str:
    """The curve in one line of ``width`` letters of braille, each two columns of dots.

    A column shows all that lies between the least and the greatest value in its stretch of events, so that however many
    cycles there are, none is lost.
    """
    columns = 2 * width
    finite = np.isfinite(c.values)
    events, values = c.events[finite], c.values[finite] / HEIGHT  # so that the distance of any two is finite
    if not len(events):
        return ""
    low, span = values.min(), values.max() - values.min()
    levels = np.ones(len(values), int)  # of what is constant
    if span:
        levels = ((values - low) / span * HEIGHT).astype(int).clip(0, HEIGHT - 1)
    # An event lasts until the next one; where there are fewer events than columns, it fills several.
    first = np.minimum(events * columns // c.num_events, columns - 1)
    last = np.maximum(first, np.minimum(-(-(events + 1) * columns // c.num_events), columns) - 1)
    last = np.minimum(last, np.append(np.maximum(first[1:] - 1, first[:-1]), columns - 1))
    lit = np.zeros((columns, HEIGHT), dtype=bool)
    for column in range(columns):
        here = levels[(first <= column) & (column <= last)]
        if len(here):
            lit[column, here.min() : here.max() + 1] = True
    letters = (lit.reshape(width, 2, HEIGHT) * DOTS).sum(axis=(1, 2))
    return "".join(chr(0x2800 + letter) for letter in letters)


def parts(c: Curve) -> str:
    """How many phases and cycles have begun in the run: a phase is no cycle."""
    phases, cycles = _count(c.schedule, c.num_events)
    counted = [(phases, "phase"), (cycles, "cycle")]
    said = [f"{number:,} {name}{'s' * (number != 1)}" for number, name in counted if number]
    at = branches_at(c)
    return ", ".join(said if at is None else [f"branch at {at:,}", *said])


def branches_at(c: Curve) -> int | None:
    """The event at which the curve leaves that of an earlier run, if it does."""
    return c.schedule.at if isinstance(c.schedule, Branched) else None


def _count(schedule: Schedule, num_events: int) -> tuple[int, int]:
    if isinstance(schedule, Scaled):
        return _count(schedule.schedule, num_events)
    if isinstance(schedule, CyclicalSchedule):
        return 0, schedule.cycles(num_events)
    if not isinstance(schedule, PhasedSchedule):
        return 0, 0
    if isinstance(schedule, Phases) and schedule.repeat != 1:
        return _count_rounds(schedule, num_events)
    phases = cycles = first = 0
    for one in schedule.phases.values():
        length = num_events - first if one.duration is None else min(one.duration, num_events - first)
        if length > 0:
            within, turns = _count(one, length)
            phases, cycles, first = phases + max(within, 1), cycles + (turns if turns > 1 else 0), first + length
    return phases, cycles


def _count_rounds(schedule: Phases, num_events: int) -> tuple[int, int]:
    """The same of phases that are repeated."""
    once = replace(schedule, repeat=1)
    period = sum(one.duration for one in schedule.phases.values())
    rounds, rest = divmod(num_events, period)
    if schedule.repeat is not None and rounds >= schedule.repeat:
        rounds, rest = schedule.repeat, 0
    whole, last = _count(once, period), _count(once, rest)
    return rounds * whole[0] + last[0], rounds * whole[1] + last[1]


def restarts(c: Curve, shown: int = 3) -> str:
    """The first restarts of the curve, in its events; nothing where phases alone begin."""
    phases, cycles = _count(c.schedule, c.num_events)
    if phases and not cycles:
        return ""
    first = first_restarts(c.schedule, c.num_events, shown + 1)
    return ", ".join([*map(str, first[:shown]), *["…"] * (len(first) > shown)])
