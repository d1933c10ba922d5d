"""A run of any length as a small sample of its events, with the peaks and troughs, and a fingerprint of its values.

A run of up to ``EXACT`` events is evaluated whole. Of a longer one, those events are evaluated where it may turn, and
some between them; the time is then that for some 100,000 events, however long the run.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from cosched.schedules.combined import Outer, Product
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.phases import PhasedSchedule, Phases
from cosched.schedules.schedule import Schedule
from cosched.schedules.shapes import PiecewiseLinear

Events = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Sample = tuple[Events, Values, str]

BUCKETS = 1000  # a run of more events is kept as the least and the greatest value in each of so many stretches
CHUNK = 2**16  # events evaluated at once
EXACT = 2**22  # a run of more events is not evaluated whole
SPREAD = 16  # events evaluated in each stretch of such a run, evenly, and as many at random
ZOOM = 8  # events evaluated at once on the way to a peak
ROUNDS = 40  # at most: each makes the way to a peak shorter by the factor (ZOOM + 1) / 2


def sample(schedule: Schedule, num_events: int) -> Sample:
    """At most ``2 * BUCKETS + 1`` events, ascending, with their values, and a fingerprint of the whole run.

    The events are those of the least and the greatest value in each stretch, the first ones if there are several, and
    the last event. Runs of one length with the same values have the same fingerprint; others have another one, except
    that in a run that is not evaluated whole, a few events that are neither peak nor trough may be overlooked.
    """
    return whole(schedule, num_events) if num_events <= EXACT else sparse(schedule, num_events)


def whole(schedule: Schedule, num_events: int) -> Sample:
    """The sample of a run that is evaluated at every event."""
    width = _width(num_events)
    step = max(width, CHUNK // width * width)
    digest = hashlib.sha256()
    kept: list[Events] = []
    values_kept: list[Values] = []
    for first in range(0, num_events, step):
        values = schedule.values(range(first, min(first + step, num_events)))
        digest.update(values.tobytes())
        # The first of equals is picked, so never one of those that fill up the last stretch.
        stretches = np.pad(values, (0, -len(values) % width), mode="edge").reshape(-1, width)
        starts = np.arange(len(stretches)) * width
        picked = np.sort(starts[:, None] + np.stack([stretches.argmin(1), stretches.argmax(1)], axis=1)).ravel()
        if first + len(values) == num_events:
            picked = np.append(picked, len(values) - 1)
        picked = picked[np.diff(picked, prepend=-1) > 0]  # each once
        kept.append(picked + first)
        values_kept.append(values[picked])
    return np.concatenate(kept), np.concatenate(values_kept), _text(digest)


def sparse(schedule: Schedule, num_events: int) -> Sample:
    """The sample of a run that is evaluated where it may turn, and here and there between."""
    width = _width(num_events)
    edges = np.arange(0, num_events, width)
    fixed = _spread(num_events, edges, width)  # the same for every schedule: their values tell schedules apart
    events = np.union1d(fixed, turns(schedule, edges, num_events))
    values = schedule.values(events)
    digest = hashlib.sha256(values[np.searchsorted(events, fixed)].tobytes())
    best = np.concatenate([_least(schedule, events, values, edges, sign) for sign in (1.0, -1.0)])
    kept = np.union1d(best, [num_events - 1])
    values = schedule.values(kept)
    digest.update(kept.tobytes() + values.tobytes())
    return kept, values, _text(digest)


def _width(num_events: int) -> int:
    return max(1, -(-num_events // BUCKETS))


def _text(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:12]


def _spread(num_events: int, edges: Events, width: int) -> Events:
    """Events that depend on nothing but the length of the run, ascending; the ends of all stretches are among them.

    Towards both ends of the run they are dense, since that is where warm-ups and cool-downs stand.
    """
    even = edges[:, None] + np.linspace(0, width - 1, SPREAD).astype(np.int64)
    random = np.random.default_rng(num_events).integers(0, num_events, SPREAD * len(edges))
    near = np.unique(np.geomspace(1, num_events, 4 * len(edges)).astype(np.int64)) - 1
    return np.unique(np.clip(np.concatenate([even.ravel(), random, near, num_events - 1 - near]), 0, num_events - 1))


def _least(schedule: Schedule, events: Events, values: Values, edges: Events, sign: float) -> Events:
    """In each stretch the event of the least of ``sign * values``, sought from the evaluated ``events`` on.

    NaN counts as less than all.
    """

    def heights(values: Values) -> Values:
        return np.where(np.isnan(values), -np.inf, sign * values)

    height = heights(values)
    starts = np.searchsorted(events, edges)
    stops = np.append(starts[1:], len(events)) - 1
    hits = np.flatnonzero(height == np.repeat(np.minimum.reduceat(height, starts), stops + 1 - starts))
    first = hits[np.searchsorted(hits, starts)]  # the first one in each stretch
    best, least = events[first], height[first]
    low, high = events[np.maximum(first - 1, starts)], events[np.minimum(first + 1, stops)]
    level = height[np.minimum(first + 1, stops)] == least  # it holds: then the event at which it begins to is sought
    active = np.flatnonzero(high - low > 2)
    for _ in range(ROUNDS):
        if not active.size:
            break
        a, b = low[active, None], high[active, None]
        between = a + (b - a) * np.arange(1, ZOOM + 1) // (ZOOM + 1)
        tried = np.sort(np.concatenate([a, between, best[active, None], b], axis=1), axis=1)
        found = heights(schedule.values(tried))
        where = found.argmin(1)  # the first of equals
        rows = np.arange(len(active))
        changed = tried[rows, where] != best[active]
        best[active], least[active] = tried[rows, where], found[rows, where]
        low[active] = tried[rows, np.maximum(where - 1, 0)]
        after = np.minimum(where + 1, tried.shape[1] - 1)
        high[active] = tried[rows, after]
        level[active] = (found[rows, after] == least[active]) & (after > where)
        wide = best[active] - low[active] > 1
        active = active[(changed & (high[active] - low[active] > 2)) | (level[active] & wide)]
    return best


def turns(schedule: Schedule, edges: Events, stop: int) -> Events:
    """The events before ``stop`` at which the schedule may turn, or where there are many, those near ``edges``."""
    if isinstance(schedule, Outer):
        return turns(schedule.inner(), edges, stop)
    if isinstance(schedule, Product):
        return np.concatenate([np.empty(0, np.int64), *(turns(one, edges, stop) for one in schedule.parts)])
    if isinstance(schedule, PiecewiseLinear):
        found = np.array([event for event, _ in schedule.milestones], dtype=np.int64)
    elif isinstance(schedule, PhasedSchedule):
        found = _turns_of_phases(schedule, edges, stop)
    elif isinstance(schedule, CyclicalSchedule):
        found = _turns_of_cycles(schedule, edges, stop)
    else:
        found = np.empty(0, dtype=np.int64)
    return found[(found >= 0) & (found < stop)]


def _turns_of_phases(schedule: PhasedSchedule, edges: Events, stop: int) -> Events:
    found, first = [np.empty(0, dtype=np.int64)], 0
    for one in schedule.phases.values():
        over = stop if one.duration is None else min(first + one.duration, stop)
        if first < over:
            within = edges[(edges > first) & (edges < over)] - first
            found += [np.array([first, over - 1, over]), first + turns(one, np.append(0, within), over - first)]
            first = over
    once = np.concatenate(found)
    if not isinstance(schedule, Phases) or schedule.repeat == 1:
        return once
    repeat = schedule.repeat
    count = -(-stop // first) if repeat is None else min(-(-stop // first), repeat)  # `first` is after a whole round
    rounds = np.arange(count)
    if count > 4 * len(edges):  # in each stretch the first two
        rounds = np.unique(np.clip(edges[:, None] // first + np.arange(2), 0, count - 1))
    once = np.unique(once[once < first])
    return np.concatenate([(rounds[:, None] * first + once).ravel(), [count * first - 1, count * first]])


def _turns_of_cycles(schedule: CyclicalSchedule, edges: Events, stop: int) -> Events:
    count = schedule.cycles(stop)
    last, size, warmup = schedule.nth_cycle(count - 1) or (0, 0, 0)
    # Lengths only grow, or only shrink: from some cycle on all are as long as the last one.
    alike = bisect_left(range(count - 1), True, key=lambda k: (schedule.nth_cycle(k) or ())[1:] == (size, warmup))
    start = last - (count - 1 - alike) * (size + warmup)
    if count <= 4 * len(edges):
        chosen = np.arange(count)
    else:  # in each stretch the first and the last ones, for from cycle to cycle values only rise, or only fall
        before = [schedule.cycles(int(edge) + 1) - 1 for edge in edges[edges < start]]
        later = np.minimum(alike + (edges[edges >= start] - start) // (size + warmup), count - 1)
        near = np.concatenate([np.array(before, dtype=np.int64), later])
        chosen = np.unique(np.clip(near[:, None] + np.arange(-2, 3), 0, count - 1))
        chosen = np.union1d(chosen, np.linspace(0, count - 1, 2 * len(edges)).astype(np.int64))
    single = [schedule.nth_cycle(int(k)) or (0, 0, 0) for k in chosen[chosen < alike]]
    same = chosen[chosen >= alike]
    first, sizes, warmups = (
        np.concatenate([np.array([row[i] for row in single], dtype=np.int64), column])
        for i, column in enumerate(
            (start + (same - alike) * (size + warmup), np.full(len(same), size), np.full(len(same), warmup))
        )
    )
    # A triangle turns in the middle; quarters, because a shape of another package may turn anywhere.
    within = (0 * sizes, sizes // 4, (sizes - 1) // 2, sizes // 2, (sizes + 1) // 2, 3 * sizes // 4, sizes - 1, sizes)
    return np.unique(np.concatenate([first + offset for offset in (*within, sizes + warmups - 1)]))


def first_restarts(schedule: Schedule, num_events: int, count: int) -> list[int]:
    """The first ``count`` restarts, without listing all of a long run's."""
    enough = bisect_left(range(num_events), count + 1, key=schedule.cycles)  # events, for one cycle more than restarts
    return [int(event) for event in schedule.restarts(enough)[:count]]
