"""The callback ``hydra/callbacks=schedule_report``: the curves of each job, and of a sweep beside what it returned."""

from __future__ import annotations

import logging
import math
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from cosched.config.schemas import ConfigError, PreviewConfig
from cosched.schedules.runs import observers
from cosched.sweeps.jobfile import JobFile
from cosched.sweeps.jobs import as_dict, program
from cosched.sweeps.lengths import Length
from cosched.sweeps.results import JOB_FILE, JobError, Result, failure, gather, number
from cosched.sweeps.summary import sum_up
from cosched.sweeps.text import attempt

log = logging.getLogger(__name__)

LAUNCHER = "hydra_plugins.hydra_cosched.report_launcher.ReportLauncher"


class ScheduleReport(Callback):
    """Saves each job's curves in its folder at its start, and sums a sweep up at its end.

    Hydra tells a callback neither what the jobs in other processes do nor that a sweep ended early. So, for the time
    of a sweep, `ReportLauncher` stands around the launcher, and hears what each job returned; curves come from the
    files in the jobs' folders. In a sweep a failed job is reported and the others go on; the exit status of the whole
    is then 1, whatever becomes of table and pictures, and however the sweep ends.

    The exception: under Hydra's own launcher, and joblib's with ``n_jobs=1``, jobs run in the process of the sweep. A
    job that calls ``os._exit(0)`` ends it then and there, with status 0 and without a table; nothing can be done about
    that in the process. In processes of their own, such jobs are rows like others.
    """

    def __init__(
        self, epochs: int | None = None, epoch_length: int | None = None, maximize: bool | None = None
    ) -> None:
        self.length, self.maximize = Length(epochs=epochs, epoch_length=epoch_length), maximize
        self.folder = Path()
        self.title = ""
        self.program = program()
        self.earlier: dict[Path, int] = {}  # when the files of an earlier sweep in the folder were written
        self.jobs: dict[int, Result] = {}  # what the launcher was asked for, and got
        self.stopped = 0  # the exit status of a sweep that was interrupted
        self.launcher = ""  # the class of the sweep's own launcher
        self.nan_stops = False  # whether the sweeper cannot go on after a NaN
        self.unsaid: Any = None  # sums up at the latest possible time, if the sweep does not come to its end
        self.job: JobFile | None = None  # of the job that runs in this process

    def __reduce__(self) -> tuple[Any, ...]:  # in the processes of jobs it has nothing to do with the sweep
        return type(self), (self.length.epochs, self.length.epoch_length, self.maximize), {"program": self.program}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Put `ReportLauncher` around the launcher; remember the files of an earlier sweep in the folder."""
        target = config.hydra.launcher._target_
        if target == PreviewConfig._target_:
            return
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        self.maximize = direction(config, self.maximize)
        self.title = f"sweep of {config.hydra.job.name}"
        self.nan_stops = "optuna" in str(config.hydra.sweeper._target_)
        self.launcher = target
        _set_launcher(config, LAUNCHER)
        with attempt("looking for an earlier sweep"):
            # Their own times, not the time now: nodes of a cluster have other clocks.
            self.earlier = {file: file.stat().st_mtime_ns for file in self.folder.rglob(JOB_FILE) if file.exists()}

    def begin(self, launcher: Launcher, config: DictConfig, callbacks: list[Callback]) -> None:
        """What ``launcher`` says when the sweep begins; the ``callbacks`` are all of the sweep's, in order."""
        _set_launcher(config, self.launcher)
        callbacks.sort(key=lambda one: one is not self)  # it may end the process, so it is to be the last to end
        self.unsaid = weakref.finalize(launcher, self._last_words, os.getpid())

    def launched(self, job: int, overrides: Sequence[str]) -> None:
        """What the launcher says before it starts a job."""
        self.jobs[job] = Result(job, as_dict(filter_overrides(overrides)), program=self.program)

    def returned(self, job: int, result: JobReturn) -> None:
        """What the launcher says when it has got a job's result; changes it so that the sweep goes on."""
        self.jobs[job].end(result)
        if self.jobs[job].error is not None:
            # None: sweepers that optimise count what is no number as a failure, and go on.
            result.status, result.return_value = JobStatus.COMPLETED, None
        elif self.nan_stops and any(map(_is_nan, _items(result.return_value))):
            result.return_value = None

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Save ``schedule.json`` in the folder of a sweep's job, and ``schedule.png`` if the length of its run is set.

        Where there is such a file, and in that of a single run, this waits until the run begins: it may be refused.
        """
        self.job = JobFile(config, Length.of(config).otherwise(self.length), direction(config, self.maximize))
        self.job.state["program"] = self.program
        self.job.start()
        observers[:] = [tell for tell in observers if tell != self._begins]
        observers.append(self._begins)

    def _begins(self, *said: Any) -> None:
        if self.job is not None:
            self.job.begins(*said)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add what the job returned, or why it failed, and draw its curves over the run that there was."""
        observers[:] = [tell for tell in observers if tell != self._begins]
        job, self.job = self.job, None
        value = job_return._return_value
        if job_return.status is JobStatus.FAILED:
            end: dict[str, Any] = {"status": "failed", "error": failure(value)}
            if config.hydra.mode is RunMode.MULTIRUN and isinstance(value, Exception):  # an interrupt ends the sweep
                said = isinstance(value, ConfigError)  # all that there is to say
                why = f": {value}" if said else ""
                log.error("job %s failed%s", config.hydra.job.get("num", ""), why, exc_info=None if said else value)
                job_return.return_value = JobError(end["error"])
        else:
            score = number(value)
            if score is not None and not math.isfinite(score):
                score = str(score)  # type: ignore[assignment]  # JSON has no such numbers
            end = {"status": "completed", "error": None, "value": score}
        if job is not None:
            (job.refused if isinstance(value, ConfigError) else job.end)(**end)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv`` and ``sweep.png``, print the ranked table; exit with status 1 if a job failed."""
        if self.unsaid is not None and self.unsaid.detach():
            failed = self._sum_up()
            if failed or self.stopped:
                sys.exit(self.stopped or 1)

    def _last_words(self, process: int) -> None:
        if os.getpid() == process:  # and not that of a job, which was forked from it
            self._sum_up()

    def _sum_up(self) -> bool:
        """Report on the sweep; whether a job failed."""
        results = list(self.jobs.values())
        with attempt("reading what the jobs left"):
            results = gather(self.folder, self.jobs, self.earlier)
        if not results:
            return False
        jobs = f"{len(results)} job{'s' * (len(results) != 1)}"
        with attempt("the report"):
            sum_up(results, self.folder, f"{self.title}, {jobs}", self.maximize)
        return any(result.error is not None for result in results)


def _set_launcher(config: DictConfig, target: str) -> None:
    with flag_override(config.hydra.launcher, "readonly", False):
        config.hydra.launcher._target_ = target


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _is_nan(value: Any) -> bool:
    return math.isnan(number(value) or 0.0)


def direction(config: DictConfig, given: bool | None) -> bool | None:
    """Whether the greatest of the returned values is the best: as it is set, or as the sweeper is told; None: neither.

    That is optuna's ``direction``, nevergrad's ``optim.maximize``, Ax's ``ax_config.experiment.minimize``.
    """
    said = [OmegaConf.select(config, "hydra.callbacks.schedule_report.maximize"), given]
    sweeper = config.hydra.sweeper
    word = OmegaConf.select(sweeper, "direction")
    said += [{"MAXIMIZE": True, "MINIMIZE": False}.get(str(getattr(word, "name", word)).upper())]
    said += [OmegaConf.select(sweeper, "optim.maximize")]
    minimize = OmegaConf.select(sweeper, "ax_config.experiment.minimize")
    said += [None if minimize is None else not minimize]
    return next((bool(one) for one in said if isinstance(one, bool)), None)
