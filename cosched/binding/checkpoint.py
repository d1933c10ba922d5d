"""Schedules and positions as plain data: what a checkpoint holds, read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosched.schedules import registry
from cosched.schedules.durations import DATA, MAX_EVENTS, Run
from cosched.schedules.phase import Phase, lasting, phase
from cosched.schedules.phases import Branched
from cosched.schedules.schedule import Schedule


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


def differences_of_branch(saved: Branched, own: Schedule) -> list[str]:
    """Where the branch of a saved schedule differs from ``own``, which is to be that branch."""
    branch = list(saved.phases.values())[-1]
    return differences(to_plain(branch), to_plain(lasting(own, branch.duration)), "branch")


def index(value: Any, field: str = "event_index") -> int:
    """``value`` as an event index.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_EVENTS:
        raise ValueError(f"{field}={value!r} in state_dict must be an integer of at least 0")
    return value
