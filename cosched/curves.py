"""What a declared schedule does over a whole run, found from the config alone: no optimizer, no torch.

A run of any length is evaluated at every event but kept as a bounded sample, in bounded memory.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cosched.config import Binding, schema_of, typed
from cosched.durations import Event
from cosched.schedules import CyclicalSchedule, Schedule

Values = npt.NDArray[np.float64]

BUCKETS = 1000  # a longer run is sampled by the least and the greatest value in each of so many stretches
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


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A schedule over a run of ``num_events`` of its events."""

    path: str  # where it stands in the config
    schedule: Binding
    num_events: int
    events: npt.NDArray[np.int64]  # the sampled events, ascending: every one, or with no peak or trough left out
    values: Values  # their values
    fingerprint: str  # of the values of all events
    findings: list[str]  # what a user should look at before paying for the run


def declared(config: DictConfig) -> list[str]:
    """The path of every node in an app's config, Hydra's own part aside, whose ``_target_`` is a scheduler of ours."""

    def walk(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict) and schema_of(node.get("_target_")):
            yield path
        elif isinstance(node, dict):
            for key, child in node.items():
                yield from walk(child, f"{path}.{key}" if path else str(key))
        elif isinstance(node, list):
            for i, child in enumerate(node):
                yield from walk(child, f"{path}[{i}]")

    return [path for path in walk(OmegaConf.to_container(config), "") if not path.startswith("hydra.")]


def fields_at(config: DictConfig, path: str) -> dict[str, Any]:
    """The node at ``path`` as plain data, resolved.

    Raises:
        ValueError: it cannot be resolved.
    """
    try:
        node = OmegaConf.to_container(OmegaConf.select(config, path), resolve=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return cast("dict[str, Any]", node)


def curve(path: str, fields: Mapping[str, Any], epochs: int, epoch_length: int) -> Curve:
    """Evaluate the scheduler that ``fields`` declare over a run of ``epochs`` times ``epoch_length`` iterations.

    Raises:
        ValueError: they do not describe a scheduler; the message names the field and the remedy.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            schedule: Any = OmegaConf.to_object(typed(fields))
        except OmegaConfBaseException as error:
            raise ValueError(str(error).splitlines()[0]) from error
        except (ArithmeticError, AttributeError, TypeError) as error:
            raise ValueError(str(error)) from error
        if epochs < 1 or epoch_length < 1:
            raise ValueError(
                f"a run of epochs={epochs} of epoch_length={epoch_length} has no events: give both at least 1"
            )
        schedule = schedule.resolve(epoch_length=epoch_length, max_epochs=epochs)
    num_events = epochs if schedule.event is Event.EPOCH_STARTED else epochs * epoch_length
    events, values, fingerprint = sample(schedule, num_events)
    return Curve(
        path=path,
        schedule=schedule,
        num_events=num_events,
        events=events,
        values=values,
        fingerprint=fingerprint,
        findings=[*(str(w.message) for w in caught), *findings(schedule, num_events, events, values)],
    )


def evaluate(config: DictConfig, epochs: int, epoch_length: int) -> tuple[list[Curve], dict[str, str]]:
    """The curves of all schedulers that an app's config declares, and by path what is wrong with the others."""
    curves, errors = [], {}
    for path in declared(config):
        try:
            curves.append(curve(path, fields_at(config, path), epochs, epoch_length))
        except ValueError as error:
            errors[path] = str(error)
    return curves, errors


def sample(schedule: Schedule, num_events: int) -> tuple[npt.NDArray[np.int64], Values, str]:
    """At most ``2 * BUCKETS + 1`` events with their values, no peak or trough left out; a fingerprint of them all."""
    width = max(1, -(-num_events // BUCKETS))
    step = max(width, CHUNK // width * width)
    digest = hashlib.sha256()
    kept: list[npt.NDArray[np.int64]] = []
    values_kept: list[Values] = []
    for first in range(0, num_events, step):
        values = schedule.values(range(first, min(first + step, num_events)))
        digest.update(values.tobytes())
        # The first of equals is picked, so never one of those that fill up the last stretch.
        stretches = np.pad(values, (0, -len(values) % width), mode="edge").reshape(-1, width)
        starts = np.arange(len(stretches)) * width
        picked = np.union1d(starts + stretches.argmin(1), starts + stretches.argmax(1))
        if first + len(values) == num_events:
            picked = np.union1d(picked, [len(values) - 1])
        kept.append(picked + first)
        values_kept.append(values[picked])
    return np.concatenate(kept), np.concatenate(values_kept), digest.hexdigest()[:12]


def first_restarts(schedule: Schedule, num_events: int, count: int) -> list[int]:
    """The first ``count`` restarts, without listing all of a long run's."""
    horizon = min(num_events, 1024)
    while len(restarts := schedule.restarts(horizon)[:count]) < count and horizon < num_events:
        horizon = min(num_events, 4 * horizon)
    return [int(event) for event in restarts]


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


def findings(schedule: Binding, num_events: int, events: npt.NDArray[np.int64], values: Values) -> list[str]:
    """What is odd about a schedule over a run: cycles that vanish, an end never reached, values out of bounds."""
    found = shrinking(schedule, num_events)
    if wrong := out_of_domain(schedule.param_name, events, values, None if schedule.relative else (1.0,)):
        found.append(wrong)
    finite = values[np.isfinite(values)]
    if not finite.size or not isinstance(schedule, CyclicalSchedule):
        return found
    nearest = finite[abs(finite - schedule.end_value).argmin()]
    if abs(nearest - schedule.end_value) > 0.01 * abs(schedule.start_value - schedule.end_value):
        found.append(f"the end value {schedule.end_value:g} is never reached, only {nearest:.4g}")
    return found


def as_dict(overrides: Sequence[str]) -> dict[str, str]:
    """A job's overrides by key."""
    pairs = (override.partition("=") for override in overrides)
    return {key: value for key, _, value in pairs}


def differing(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """The override keys that do not have one and the same value in every job, in the order of their first use."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def label(overrides: Mapping[str, str], keys: Sequence[str], job: int) -> str:
    """What tells a job from the others: its overrides of ``keys``, without the path where the last name is enough."""
    last = {key: key.rpartition(".")[2] for key in keys}
    names = {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}
    return " ".join(f"{name}={overrides[key]}" for key, name in names.items() if key in overrides) or f"job {job}"


def twins(jobs: Sequence[Sequence[Curve]]) -> dict[tuple[int, str], int]:
    """For each (job, path) whose curve an earlier job has too, that job."""
    first: dict[tuple[str, str], int] = {}
    same = {}
    for i, curves in enumerate(jobs):
        for c in curves:
            earlier = first.setdefault((c.path, c.fingerprint), i)
            if earlier != i:
                same[i, c.path] = earlier
    return same
