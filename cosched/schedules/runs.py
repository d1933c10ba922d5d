"""Who wants to hear of the runs that schedules are about to drive in this process: a report, which has no other way."""

from __future__ import annotations

from collections.abc import Callable

from cosched.schedules.durations import Run
from cosched.schedules.schedule import Schedule

observers: list[Callable[[str, Schedule, Run], None]] = []


def begins(param_name: str, schedule: Schedule, run: Run) -> None:
    """What every loop says when a run begins or continues: ``schedule``, as it was declared, drives ``param_name``."""
    for tell in observers:
        tell(param_name, schedule, run)
