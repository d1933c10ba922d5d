"""What ``hydra/callbacks=schedule_report`` puts around the launcher of a sweep; not an option to choose."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import update_wrapper
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ReportLauncher(Launcher):
    """Starts the jobs with the sweep's own launcher, and tells the report what it started and what came back."""

    def __init__(self, **options: Any) -> None:
        """Take the options of the sweep's own launcher, which is made from them in `setup`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the sweep's own launcher."""
        from cosched.sweeps.report import ScheduleReport

        callbacks = hydra_context.callbacks.callbacks
        self.report = next(one for one in callbacks if isinstance(one, ScheduleReport))
        self.report.begin(self, config, callbacks)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=Contained(task_function), config=config
        )

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs; those that failed are returned as completed, without a value."""
        import signal  # here, for every app's start loads this file
        from concurrent.futures import BrokenExecutor

        for job, overrides in enumerate(job_overrides, initial_job_idx):
            self.report.launched(job, overrides)
        try:
            results = self.launcher.launch(job_overrides, initial_job_idx)
        except SystemExit as stop:  # another callback's: the sweep is not done
            raise SystemExit(stop.code or 1) from stop
        except KeyboardInterrupt as stop:  # the report follows as the process ends
            print("interrupted: here is what is there", file=sys.stderr)
            self.report.stopped = 128 + getattr(stop, "number", signal.SIGINT)  # as a shell says it
            raise SystemExit(self.report.stopped) from None
        except BrokenExecutor as error:
            print(f"the launcher has lost a process: {(str(error).splitlines() or [''])[0]}", file=sys.stderr)
            raise SystemExit(1) from None
        for job, result in enumerate(results, initial_job_idx):
            self.report.returned(job, result)
        return results


class Contained:
    """A task in which ``sys.exit`` ends no more than the task."""

    def __init__(self, task: TaskFunction) -> None:
        self.task = task
        update_wrapper(self, task)

    def __call__(self, config: DictConfig) -> Any:
        """Run the task."""
        try:
            return self.task(config)
        except SystemExit as stop:
            raise RuntimeError(f"the job called sys.exit({stop.code!r}) instead of returning") from stop
