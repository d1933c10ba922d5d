"""The callbacks that options of ours name; Hydra's scan of plugins, at every app's start, passes over this file."""

from __future__ import annotations

import sys
from typing import Any

from hydra.errors import ConfigCompositionException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from cosched import require
from cosched.sweeps.text import told
from hydra_plugins.hydra_cosched.preview_launcher import preview_of


class PreviewRun(Callback):
    """Of ``hydra/launcher=preview``: previews where one job would run, without ``-m``: then Hydra asks no launcher."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Preview the job and end the process: with status 1 if it is invalid or cannot be previewed, else with 0."""
        try:
            overrides = list(config.hydra.overrides.task)
            preview = preview_of(config)
            preview.compose(0, overrides, lambda: config)
            preview.show([overrides])
        except ConfigCompositionException as error:  # what it needs is not installed
            sys.exit(str(error))
        except Exception as error:  # of which Hydra would warn only, and then run the job
            sys.exit(f"hydra/launcher=preview has failed, and nothing was run: {told(error)}")
        sys.exit(0)


def schedule_report(**options: Any) -> Callback:
    """Make the report of ``hydra/callbacks=schedule_report``, with the fields of its option, if it can be loaded."""
    try:
        require("hydra/callbacks=schedule_report", "plot", "matplotlib", "rich")
    except ModuleNotFoundError as error:
        sys.exit(str(error))  # Hydra would put what it was about around it
    from cosched.sweeps.report import ScheduleReport

    return ScheduleReport(**options)
