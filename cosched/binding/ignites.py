"""What ignite's own schedulers save, so that a run can move over to ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosched.binding.checkpoint import differences, index, to_plain
from cosched.schedules.annealing import CosineAnnealing, LinearCyclical
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.schedule import Schedule
from cosched.schedules.shapes import PiecewiseLinear

CYCLICAL = {"start_value", "end_value", "cycle_size", "cycle_mult", "cycle", "start_value_mult", "end_value_mult"}
PIECEWISE = {"milestones", "values"}
CONCAT = {"schedulers", "durations", "_scheduler_index", "_current_duration"}
GROUP = {"schedulers"}
SHAPES = (CosineAnnealing, LinearCyclical)  # the shapes that ignite has too; its state does not say which one it is of


def position(state: Mapping[str, Any], schedule: Schedule) -> tuple[int, list[str]] | None:
    """The event index at which a scheduler of ignite's stopped, and how its curve differs from that of ``schedule``.

    None: ``state`` is not of ignite's.

    Raises:
        ValueError: a value is missing or of a wrong type, or there is no such position in ``schedule``.
    """
    if state.keys() >= CYCLICAL:
        return _cyclical(state, schedule)
    if state.keys() >= CONCAT:
        return _concat(state)
    if state.keys() >= GROUP:
        raise ValueError(
            "state_dict is of ignite's ParamGroupScheduler, which has a position for each of its parts and none for "
            "all: load the state of one part, or that of the engine alone, whose clock an attached schedule follows"
        )
    return _piecewise(state, schedule) if state.keys() >= PIECEWISE else None


def _concat(state: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The position in ignite's ConcatScheduler, the sum of those in its parts; there is no telling its curve."""
    durations, left = state["durations"], state["_current_duration"]
    if not isinstance(durations, (list, tuple)):
        raise ValueError(f"durations={durations!r} in state_dict must be a list of event counts")
    durations = [index(one, f"durations[{i}]") for i, one in enumerate(durations)]
    part = index(state["_scheduler_index"], "_scheduler_index")
    if isinstance(left, bool) or not isinstance(left, int) or part > len(durations):
        raise ValueError(f"_scheduler_index={part}, _current_duration={left!r} in state_dict are no position")
    # Of the last part, which has no duration, ignite counts down from -1.
    position = sum(durations[:part]) + ([*durations, -1][part] - left)
    return index(position), [
        "the state of ignite's ConcatScheduler, as create_lr_scheduler_with_warmup makes it, does not tell its curve"
    ]


def _piecewise(state: Mapping[str, Any], schedule: Schedule) -> tuple[int, list[str]]:
    """The position in ignite's PiecewiseLinear, and where its points differ from those of ``schedule``."""
    if not isinstance(schedule, PiecewiseLinear):
        raise ValueError(f"state_dict is of ignite's PiecewiseLinear, and this schedule a {type(schedule).__name__}")
    try:
        points = [
            [index(at, "milestones"), value] for at, value in zip(state["milestones"], state["values"], strict=True)
        ]
    except (TypeError, ValueError) as error:
        raise ValueError(f"milestones or values in state_dict are not the points of a curve: {error}") from error
    while len(points) > 1 and points[1][0] == 0:
        del points[0]  # at event 0 the last value holds
    own: list[Any] = to_plain(schedule.milestones)
    return index(state.get("event_index")), differences(points, own, "milestones")


def _cyclical(state: Mapping[str, Any], schedule: Schedule) -> tuple[int, list[str]]:
    """The event index at which ignite's cyclical scheduler stopped, counted from the start of its first cycle.

    Its state holds the fields as they were in its current cycle, so they are compared with those of ``schedule`` in
    that cycle; what differs comes second.

    Raises:
        ValueError: a value is missing or of a wrong type, or ``schedule`` has no such cycle.
    """
    if not isinstance(schedule, CyclicalSchedule):
        raise ValueError(f"state_dict is of a cyclical scheduler of ignite, and this schedule a {type(schedule)}")
    position, cycle = index(state.get("event_index")), index(state["cycle"], "cycle")
    saved = {key: state[key] for key in (*sorted(CYCLICAL - {"cycle"}),)}
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
    if type(schedule) not in SHAPES:
        differing.append(f"the schedule is {to_plain(schedule)['type']!r} here, a shape that ignite does not have")
    return index(first + position), differing


def _grown(value: float | None, mult: float, times: int) -> float:
    try:
        return math.nan if value is None else value * mult**times
    except OverflowError:
        return math.inf
