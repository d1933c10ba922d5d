"""Which values a parameter can take, and whether a schedule keeps to them over a whole run. No torch is needed."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.schedule import Schedule

Values = npt.NDArray[np.float64]

CHUNK = 2**14  # events evaluated at once, where bounds do not tell
SCANNED = 2**22  # events of a run, at most, that are evaluated one by one
SAMPLED = 2**16  # events, at most, that are picked from the rest
HORIZON = 2**20  # events checked of a run whose end is unknown

# The values that a parameter can take: finite, at least the first bound, and less than the second.
DOMAINS = {
    "lr": (0.0, math.inf),
    "momentum": (0.0, 1.0),
    "betas[0]": (0.0, 1.0),
    "betas[1]": (0.0, 1.0),
    "alpha": (0.0, 1.0),
    "weight_decay": (0.0, math.inf),
    "eps": (0.0, math.inf),
}

log = logging.getLogger(__name__)


def check(schedule: Schedule, num_events: int | None, name: str | None, scales: Sequence[float]) -> None:
    """Refuse a schedule of which a value, over the whole run, is not finite or not one that the parameter can take.

    Where the bounds of a stretch of events are values that it can take, no event of it is looked at; else it is halved,
    down to stretches that are evaluated, so that the first wrong event is found. Where a schedule knows no bounds, the
    first events of a run are evaluated and the rest is sampled, which is logged.

    Raises:
        ValueError: the message names the parameter, the value and the event.
    """
    end = HORIZON if num_events is None else num_events
    pending = [range(end)]
    scanned = 0
    while pending:
        events = pending.pop()
        if not events or _keeps(name, schedule.bounds(events), scales):
            continue
        if scanned >= SCANNED:
            pending.append(events)
            break
        if len(events) > CHUNK:
            middle = (events.start + events.stop) // 2
            pending += [range(middle, events.stop), range(events.start, middle)]
            continue
        scanned += len(events)
        _evaluate(schedule, events, name, scales)
    if pending:
        _sample(schedule, range(pending[-1].start, end), name, scales)


def _keeps(name: str | None, bounds: tuple[float, float] | None, scales: Sequence[float]) -> bool:
    """Whether what is between ``bounds`` can be taken."""
    return bounds is not None and out_of_domain(name, np.zeros(2, dtype=np.int64), np.array(bounds), scales) is None


def _evaluate(schedule: Schedule, events: range, name: str | None, scales: Sequence[float]) -> None:
    if wrong := out_of_domain(name, np.array(events), schedule.values(events), scales):
        raise ValueError(wrong)


def _sample(schedule: Schedule, rest: range, name: str | None, scales: Sequence[float]) -> None:
    picked = rest[:: -(-len(rest) // SAMPLED)]
    log.info(
        "the bounds of %s are not known well enough: its first %d events were checked, and of the other %d each %dth",
        type(schedule).__name__,
        rest.start,
        len(rest),
        picked.step,
    )
    _evaluate(schedule, picked, name, scales)
    _evaluate(schedule, rest[-1:], name, scales)


def out_of_domain(
    name: str | None, events: npt.NDArray[np.int64], values: Values, scales: Sequence[float] | None
) -> str | None:
    """What is wrong with the first wrong one of ``values``, if one is.

    ``scales`` are what the groups multiply them by; None means that this is not known, only that it is positive.
    """
    low, high = DOMAINS.get(name or "", (-math.inf, math.inf))
    ends = (1.0,) if scales is None else (min(scales), max(scales))  # of what is between, none is wrong alone
    with np.errstate(all="ignore"):
        scaled = np.multiply.outer(values, ends)
    wrong = ~np.isfinite(scaled) | (scaled < low) | ((scaled >= high) & (scales is not None))
    if not wrong.any():
        return None
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    bounds = [f" and {word} {bound:g}" for word, bound in (("at least", low), ("below", high)) if math.isfinite(bound)]
    return f"{name or 'the value'} is {scaled[i, j]:g} at event {events[i]}: it must be finite{''.join(bounds)}"


def shrinking(schedule: Schedule, num_events: int | None) -> list[str]:
    """Where cycles become too short to go on, if they do within the run."""
    if not isinstance(schedule, CyclicalSchedule) or schedule.cycle_mult >= 1:
        return []
    num_events = HORIZON if num_events is None else num_events
    end = schedule.holds_from(num_events)
    if end is None or schedule.cycles(num_events) == schedule.num_cycles:
        return []
    return [f"cycles shrink to nothing at event {end}: the value holds from there; use cycle_mult of at least 1"]
