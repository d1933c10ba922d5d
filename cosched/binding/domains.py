"""Which values a parameter can take, and whether a schedule keeps to them over a whole run. No torch is needed."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

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


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The values that a parameter can take: finite ones, within its bounds in every group.

    Attributes:
        name: the parameter, as in `DOMAINS`; of others only finite values are asked for.
        scales: what the groups multiply a value by; None: this is not known, only that it is positive.
        most: the greatest number that what holds the value can represent.
    """

    name: str | None = None
    scales: Sequence[float] | None = (1.0,)
    most: float = math.inf

    def wrong(self, events: npt.ArrayLike | range, values: Values) -> str | None:
        """What is wrong with the first of ``values`` that is not one of them, if there is one."""
        low, high = DOMAINS.get(self.name or "", (-math.inf, math.inf))
        # Of what is between the ends, nothing is wrong alone.
        ends = (1.0,) if self.scales is None else (min(self.scales, default=1.0), max(self.scales, default=1.0))
        with np.errstate(all="ignore"):
            scaled = np.multiply.outer(values, ends)
        wrong = ~np.isfinite(scaled) | (scaled < low) | ((scaled >= high) & (self.scales is not None))
        wrong |= abs(scaled) > self.most
        if not wrong.any():
            return None
        i, j = np.unravel_index(wrong.argmax(), wrong.shape)
        bounds = [f"{word} {bound:g}" for word, bound in (("at least", low), ("below", high)) if math.isfinite(bound)]
        most = [f"at most {self.most:g}, the greatest of its type"] * math.isfinite(self.most)
        asked = " and ".join(["finite", *bounds, *most])
        return f"{self.name or 'the value'} is {scaled[i, j]:g} at event {np.asarray(events)[i]}: it must be {asked}"


def check(schedule: Schedule, num_events: int | None, domain: Domain) -> None:
    """Refuse a schedule of which a value, over the whole run, is not one that the parameter can take.

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
        bounds = schedule.bounds(events) if events else None
        if not events or (bounds is not None and domain.wrong(range(2), np.array(bounds)) is None):
            continue
        if scanned >= SCANNED:
            pending.append(events)
            break
        if len(events) > CHUNK:
            middle = (events.start + events.stop) // 2
            pending += [range(middle, events.stop), range(events.start, middle)]
            continue
        scanned += len(events)
        _evaluate(schedule, events, domain)
    if pending:
        _sample(schedule, range(pending[-1].start, end), domain)


def _evaluate(schedule: Schedule, events: range, domain: Domain) -> None:
    if wrong := domain.wrong(events, schedule.values(events)):
        raise ValueError(wrong)


def _sample(schedule: Schedule, rest: range, domain: Domain) -> None:
    picked = rest[:: -(-len(rest) // SAMPLED)]
    log.info(
        "the bounds of %s are not known well enough: its first %d events were checked, and of the other %d each %dth",
        type(schedule).__name__,
        rest.start,
        len(rest),
        picked.step,
    )
    _evaluate(schedule, picked, domain)
    _evaluate(schedule, rest[-1:], domain)


def shrinking(schedule: Schedule, num_events: int | None) -> list[str]:
    """Where cycles become too short to go on, if they do within the run."""
    if not isinstance(schedule, CyclicalSchedule) or schedule.cycle_mult >= 1:
        return []
    num_events = HORIZON if num_events is None else num_events
    end = schedule.holds_from(num_events)
    if end is None or schedule.cycles(num_events) == schedule.num_cycles:
        return []
    return [f"cycles shrink to nothing at event {end}: the value holds from there; use cycle_mult of at least 1"]


BETWEEN_CYCLES = ("cycle_mult", "start_value_mult", "end_value_mult", "amplitude_mult", "warmup_duration")


def idle(schedule: Schedule, path: str = "") -> list[str]:
    """Which fields, at any depth of a schedule as it was declared, say what later cycles do where there is but one.

    >>> from cosched import CosineAnnealing
    >>> idle(CosineAnnealing(start_value=1, end_value=0, cycle_size=4, num_cycles=1, start_value_mult=0.5))
    ['start_value_mult=0.5 has no effect, as there is one cycle: set num_cycles, null for no limit']
    """
    found = []
    if isinstance(schedule, CyclicalSchedule):
        sizeless = schedule.cycle_size is None  # in a phase: it lasts as long as that
        if sizeless or schedule.num_cycles == 1:
            remedy = f"set {'cycle_size and ' * sizeless}num_cycles, null for no limit"
            given = [(f.name, f.default, getattr(schedule, f.name)) for f in fields(schedule)]
            found = [
                f"{path}{name}={value} has no effect, as there is one cycle: {remedy}"
                for name, default, value in given
                if name in BETWEEN_CYCLES and value != default
            ]
    for f in fields(schedule):
        inner = getattr(schedule, f.name)
        named = inner if isinstance(inner, Mapping) else {"": inner}
        for name, one in named.items():
            if isinstance(one, Schedule):
                found += idle(one, f"{path}{f.name}.{name}{'.' * bool(name)}")
    return found
