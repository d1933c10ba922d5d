"""Who wants to hear of the runs that schedules are about to drive in this process: a report, which has no other way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cosched.schedules.durations import Run
from cosched.schedules.schedule import Schedule

Begins = Callable[[Mapping[str, Any], Mapping[str, float], Schedule, Run], None]

observers: list[Begins] = []


def begins(bound_to: Mapping[str, Any], own: Mapping[str, float], schedule: Schedule, run: Run) -> None:
    """What every loop says when a run begins or continues.

    ``schedule``, as it was declared, drives what it is ``bound_to``, as its state names that. ``own`` is by group what
    a relative schedule multiplies there.
    """
    for tell in observers:
        tell(bound_to, own, schedule, run)
