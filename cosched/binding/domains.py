"""Which values a parameter can take, and whether a schedule keeps to them over a whole run. No torch is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.schedule import Schedule

Values = npt.NDArray[np.float64]

CHUNK = 2**16  # events evaluated at once
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


def check(schedule: Schedule, num_events: int | None, name: str | None, scales: Sequence[float]) -> None:
    """Refuse a schedule of which a value, over the whole run, is not finite or not one that the parameter can take.

    Raises:
        ValueError: the message names the parameter, the value and the event.
    """
    end = HORIZON if num_events is None else num_events
    for first in range(0, end, CHUNK):
        events = np.arange(first, min(first + CHUNK, end))
        if wrong := out_of_domain(name, events, schedule.values(events), scales):
            raise ValueError(wrong)


def out_of_domain(
    name: str | None, events: npt.NDArray[np.int64], values: Values, scales: Sequence[float] | None
) -> str | None:
    """What is wrong with the first wrong one of ``values``, if one is.

    ``scales`` are what the groups multiply them by; None means that this is not known, only that it is positive.
    """
    low, high = DOMAINS.get(name or "", (-math.inf, math.inf))
    for scale in (1.0,) if scales is None else sorted({*scales}):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values * scale
        wrong = ~np.isfinite(scaled) | (scaled < low) | ((scaled >= high) & (scales is not None))
        if wrong.any():
            i = int(wrong.argmax())
            bounds = [
                f" and {word} {bound:g}" for word, bound in (("at least", low), ("below", high)) if math.isfinite(bound)
            ]
            return f"{name or 'the value'} is {scaled[i]:g} at event {events[i]}: it must be finite{''.join(bounds)}"
    return None


def shrinking(schedule: Schedule, num_events: int | None) -> list[str]:
    """Where cycles become too short to go on, if they do within the run."""
    if not isinstance(schedule, CyclicalSchedule) or schedule.cycle_mult >= 1:
        return []
    num_events = HORIZON if num_events is None else num_events
    end = schedule.holds_from(num_events)
    if end is None or schedule.cycles(num_events) == schedule.num_cycles:
        return []
    return [f"cycles shrink to nothing at event {end}: the value holds from there; use cycle_mult of at least 1"]
