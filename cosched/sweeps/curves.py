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

from cosched.binding.domains import out_of_domain, shrinking
from cosched.config.schemas import Binding, schema_of, typed
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.durations import Event
from cosched.schedules.schedule import Schedule

Values = npt.NDArray[np.float64]

BUCKETS = 1000  # a longer run is sampled by the least and the greatest value in each of so many stretches
CHUNK = 2**16  # events evaluated at once


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
        if isinstance(node, dict) and schema_of(node):
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
