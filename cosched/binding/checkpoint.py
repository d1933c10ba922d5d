"""Schedules and positions as plain data: what a checkpoint holds, read with suspicion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosched.schedules import registry
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.durations import MAX_EVENTS, Run
from cosched.schedules.phases import Phase, phase
from cosched.schedules.schedule import Schedule

IGNITE_KEYS = {"start_value", "end_value", "cycle_size", "cycle_mult", "cycle", "start_value_mult", "end_value_mult"}


def to_plain(value: Any) -> Any:
    """A schedule as a dictionary of its shape's registered name and its fields; other values to the same depth.

    Raises:
        ValueError: a shape is not registered.
    """
    if isinstance(value, Schedule):
        shape = value.shape if isinstance(value, Phase) else registry.name_of(type(value))
        names = [f.name for f in fields(value) if f.name != "shape" and not f.name.startswith("_")]
        return {"type": shape, **{name: to_plain(getattr(value, name)) for name in names}}
    if isinstance(value, Mapping):
        return {key: to_plain(one) for key, one in value.items()}
    return [to_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def from_plain(value: Any) -> Any:
    """The reverse of `to_plain`; what has a duration is a phase.

    Raises:
        ValueError: something in it has a type and does not describe a schedule.
    """
    if not isinstance(value, Mapping):
        return value
    given = {str(key): from_plain(one) for key, one in value.items()}
    if not isinstance(given.get("type"), str):
        return given
    shape = registry.shape(given.pop("type"))
    try:
        return (phase(shape) if "duration" in given else shape)(**given)
    except TypeError as error:
        raise ValueError(str(error)) from error


def run_from_plain(value: Any) -> Run | None:
    """The run that a checkpoint's schedule was resolved in, if it was.

    Raises:
        ValueError: it does not describe a run.
    """
    if value is None:
        return None
    known = {f.name for f in fields(Run)}
    if not isinstance(value, Mapping) or value.keys() != known:
        raise ValueError(f"run={value!r} must be None or hold {', '.join(sorted(known))}")
    for name, one in value.items():
        if one is not None and (not isinstance(one, int) or one < 0):
            raise ValueError(f"run.{name}={one!r} must be a count, or None")
    return Run(**value)


def differences(saved: Any, own: Any, path: str = "") -> list[str]:
    """Where two pieces of plain data differ, with both values."""
    if isinstance(saved, Mapping) and isinstance(own, Mapping) and saved.get("type") == own.get("type"):
        keys = dict.fromkeys([*own, *saved])
        return [
            text
            for key in keys
            for text in differences(saved.get(key, "absent"), own.get(key, "absent"), f"{path}.{key}".lstrip("."))
        ]
    if isinstance(saved, Mapping) and isinstance(own, Mapping):
        saved, own = saved.get("type"), own.get("type")
    return [] if saved == own else [f"{path or 'schedule'} is {saved!r} there and {own!r} here"]


def index(value: Any, field: str = "event_index") -> int:
    """``value`` as an event index.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_EVENTS:
        raise ValueError(f"{field}={value!r} in state_dict must be an integer of at least 0")
    return value


def from_ignite(state: Mapping[str, Any], schedule: Schedule) -> tuple[int, list[str]]:
    """The event index at which ignite's cyclical scheduler stopped, counted from the start of its first cycle.

    Its state holds the fields as they were in its current cycle, so they are compared with those of ``schedule`` in
    that cycle; what differs comes second.

    Raises:
        ValueError: a value is missing or of a wrong type, or ``schedule`` has no such cycle.
    """
    if not isinstance(schedule, CyclicalSchedule):
        raise ValueError(f"state_dict is of a cyclical scheduler of ignite, and this schedule a {type(schedule)}")
    position, cycle = index(state["event_index"]), index(state["cycle"], "cycle")
    saved = {key: state[key] for key in (*sorted(IGNITE_KEYS - {"cycle"}),)}
    saved["warmup_duration"] = state.get("warmup_duration", 0)
    for name, value in saved.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} in state_dict must be a finite number")
    length = saved["cycle_size"] + saved["warmup_duration"]
    if position > length:
        raise ValueError(f"event_index={position} in state_dict is beyond its cycle of {length} events")
    here = schedule.nth_cycle(cycle)
    if here is None:
        raise ValueError(f"cycle={cycle} in state_dict is one that this schedule does not have")
    first, size, warmup = here
    begun = cycle + (position > saved["cycle_size"])  # in the warm-up ignite has the next start value already
    own = {
        "cycle_size": size,
        "warmup_duration": warmup,
        "cycle_mult": schedule.cycle_mult,
        "start_value_mult": schedule.start_value_mult,
        "end_value_mult": schedule.end_value_mult,
        "start_value": schedule.start_value * schedule.start_value_mult**begun,
        "end_value": schedule.end_value * schedule.end_value_mult**cycle,
    }
    differing = [
        f"{name} is {saved[name]!r} there and {value!r} here, in cycle {cycle + 1}"
        for name, value in own.items()
        if not math.isclose(saved[name], value, rel_tol=1e-6, abs_tol=1e-300)
    ]
    extras = {"num_cycles": None, "endpoint": False, "amplitude_mult": 1.0, "amplitude_decay": 1.0}
    differing += [
        f"{name} is unknown to ignite and {getattr(schedule, name)!r} here"
        for name, default in extras.items()
        if getattr(schedule, name) != default
    ]
    return first + position, differing
