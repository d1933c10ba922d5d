"""``hydra/callbacks=schedule_report``: says what is missing before it loads the report, which needs it."""

from __future__ import annotations

from typing import Any

from hydra.experimental.callback import Callback

from cosched import require


def schedule_report(**options: Any) -> Callback:
    """Make the report, with the fields of its option."""
    require("hydra/callbacks=schedule_report", "plot", "matplotlib", "rich")
    from cosched.sweeps.report import ScheduleReport

    return ScheduleReport(**options)
