"""Schedules and positions as plain data: what a checkpoint holds, read with suspicion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosched.schedules import registry
from cosched.schedules.annealing import CosineAnnealing, LinearCyclical
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.durations import DATA, MAX_EVENTS, Run
from cosched.schedules.phases import Phase, phase
from cosched.schedules.schedule import Schedule

IGNITE_KEYS = {"start_value", "end_value", "cycle_size", "cycle_mult", "cycle", "start_value_mult", "end_value_mult"}
IGNITES = (CosineAnnealing, LinearCyclical)  # the shapes that ignite has too; its state does not say which one it is of


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
        return {str(key): to_plain(one) for key, one in value.items()}  # JSON has no other keys
    return [to_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def from_plain(value: Any) -> Any:
    """The reverse of `to_plain`; what has a duration is a phase.

    Raises:
        ValueError: something in it has a type and does not describe a schedule.
    """
    if isinstance(value, (list, tuple)):
        return [from_plain(one) for one in value]
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
    if not isinstance(value, Mapping) or not known - {*DATA.values()} <= value.keys() <= known:  # older ones lack DATA
        raise ValueError(f"run={value!r} must be None or hold {', '.join(sorted(known))}")
    for name, one in value.items():
        if one is not None and (not isinstance(one, int) or one < 0):
            raise ValueError(f"run.{name}={one!r} must be a count, or None")
    return Run(**value)


def differences(saved: Any, own: Any, path: str = "") -> list[str]:
    """Where two pieces of plain data differ, with both values.

    The order of a mapping counts too, as that of phases does; only the fields of a shape have none.
    """
    if isinstance(saved, list) and isinstance(own, list) and len(saved) == len(own):
        return [
            text for i, pair in enumerate(zip(saved, own, strict=True)) for text in differences(*pair, f"{path}[{i}]")
        ]
    if isinstance(saved, Mapping) and isinstance(own, Mapping) and saved.get("type") == own.get("type"):
        keys = dict.fromkeys([*own, *saved])
        found = [
            text
            for key in keys
            for text in differences(saved.get(key, "absent"), own.get(key, "absent"), f"{path}.{key}".lstrip("."))
        ]
        there, here = [key for key in saved if key in own], [key for key in own if key in saved]
        if not isinstance(own.get("type"), str) and there != here:
            found.append(f"{path} come in the order {', '.join(there)} there and {', '.join(here)} here")
        return found
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
        "start_value": _grown(schedule.start_value, schedule.start_value_mult, begun),
        "end_value": _grown(schedule.end_value, schedule.end_value_mult, cycle),
    }
    differing = [
        f"{name} is {saved[name]!r} there and {value!r} here, in cycle {cycle + 1}"
        for name, value in own.items()
        if not math.isclose(saved[name], value, rel_tol=1e-6, abs_tol=1e-300)
    ]
    differing += [
        f"{f.name} is not in the state of ignite's schedulers, and {getattr(schedule, f.name)!r} here"
        for f in fields(schedule)
        if f.name not in own and getattr(schedule, f.name) != f.default
    ]
    if type(schedule) not in IGNITES:
        differing.append(f"the schedule is {to_plain(schedule)['type']!r} here, a shape that ignite does not have")
    return index(first + position), differing


def _grown(value: float, mult: float, times: int) -> float:
    try:
        return value * mult**times
    except OverflowError:
        return math.inf
