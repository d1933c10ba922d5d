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

from cosched.config.schemas import PreviewConfig
from cosched.sweeps.curves import evaluate, fields_at
from cosched.sweeps.jobs import as_dict, differing, label, twins
from cosched.sweeps.pictures import Heat, draw_sweep
from cosched.sweeps.results import JOB_FILE, RUNNING, JobError, Result, failure, gather, number, save
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.screen import Screen
from cosched.sweeps.text import attempt, plain, write_csv

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

    def __init__(self, epochs: int, epoch_length: int, maximize: bool) -> None:
        self.length, self.maximize = (epochs, epoch_length), maximize
        self.folder = Path()
        self.earlier: dict[Path, int] = {}  # when the files of an earlier sweep in the folder were written
        self.jobs: dict[int, Result] = {}  # what the launcher was asked for, and got
        self.launcher = ""  # the class of the sweep's own launcher
        self.nan_stops = False  # whether the sweeper cannot go on after a NaN
        self.unsaid: Any = None  # sums up at the latest possible time, if the sweep does not come to its end
        self.state: dict[str, Any] = {}  # of the job that runs in this process
        self.saved = ""

    def __reduce__(self) -> tuple[Any, ...]:  # in the processes of jobs it has nothing to do with the sweep
        return type(self), (*self.length, self.maximize)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Put `ReportLauncher` around the launcher; remember the files of an earlier sweep in the folder."""
        target = config.hydra.launcher._target_
        if target == PreviewConfig._target_:
            return
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
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
        self.jobs[job] = Result(job, as_dict(filter_overrides(overrides)))

    def returned(self, job: int, result: JobReturn) -> None:
        """What the launcher says when it has got a job's result; changes it so that the sweep goes on."""
        self.jobs[job].end(result)
        if self.jobs[job].error is not None:
            # None: sweepers that optimise count what is no number as a failure, and go on.
            result.status, result.return_value = JobStatus.COMPLETED, None
        elif self.nan_stops and any(map(_is_nan, _items(result.return_value))):
            result.return_value = None

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Save ``schedule.png`` and ``schedule.json`` in the job's folder."""
        folder = Path(config.hydra.runtime.output_dir)
        node = OmegaConf.select(config, "hydra.callbacks.schedule_report")
        length = (node.epochs, node.epoch_length) if node is not None else self.length
        curves, errors = evaluate(config, *length)
        self.state = {
            "job": OmegaConf.select(config, "hydra.job.num", throw_on_missing=False) or 0,
            "overrides": list(config.hydra.overrides.task),
            "epochs": length[0],
            "epoch_length": length[1],
            "schedules": {
                c.path: {
                    "fields": fields_at(config, c.path),
                    "fingerprint": c.fingerprint,
                    "restarts": first_restarts(c.schedule, c.num_events, 1000),
                }
                for c in curves
            },
            "errors": errors,
            "status": "running",
            "value": None,
            "error": RUNNING,
        }
        self.saved = save(folder, self.state)
        if curves:
            with attempt(f"drawing {folder / 'schedule.png'}"):
                draw_sweep(folder / "schedule.png", [(c.path, c) for c in curves])

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add what the job returned, or why it failed."""
        value = job_return._return_value
        if job_return.status is JobStatus.FAILED:
            end: dict[str, Any] = {"status": "failed", "error": failure(value)}
            if config.hydra.mode is RunMode.MULTIRUN:
                log.error("job %s failed", self.state.get("job", ""), exc_info=value)
                job_return.return_value = JobError(end["error"])
        else:
            score = number(value)
            if score is not None and not math.isfinite(score):
                score = str(score)  # type: ignore[assignment]  # JSON has no such numbers
            end = {"status": "completed", "error": None, "value": score}
        file = Path(config.hydra.runtime.output_dir) / JOB_FILE
        with attempt(f"writing {file}"):
            if self.saved and file.exists() and file.read_text(encoding="utf-8") == self.saved:  # else it is the job's
                save(file.parent, {**self.state, **end})
        self.state, self.saved = {}, ""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv`` and ``sweep.png``, print the ranked table; exit with status 1 if a job failed."""
        if self.unsaid is not None and self.unsaid.detach() and self._sum_up():
            sys.exit(1)

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
        keys = differing([result.overrides for result in results])
        written = []
        with attempt(f"writing {self.folder / 'sweep.csv'}"):
            write_csv(self.folder / "sweep.csv", _table(results))
            written.append(self.folder / "sweep.csv")
        lines = [(label(r.overrides, keys, r.number), c) for r in results for c in r.curves]
        if lines:
            with attempt(f"drawing {self.folder / 'sweep.png'}"):
                scores = [_score(r) for r in results for _ in r.curves]
                draw_sweep(self.folder / "sweep.png", lines, scores, _heat(keys, results))
                written.append(self.folder / "sweep.png")
        with attempt("printing the table"):
            self._print(results, keys)
            print(*(plain(str(path)) for path in written), sep="\n", flush=True)
        return any(result.error is not None for result in results)

    def _print(self, results: Sequence[Result], keys: Sequence[str]) -> None:
        screen = Screen("sweep, best first")
        screen.columns("rank", "job", "overrides", "value", "curve", numbers=("rank", "job"))
        same = twins([result.curves for result in results])
        for rank, i in enumerate(sorted(range(len(results)), key=lambda i: self._order(results[i])), 1):
            result = results[i]
            curves = [
                f"same as job {results[same[i, c.path]].number}" if (i, c.path) in same else c.fingerprint
                for c in result.curves
            ]
            value = "" if result.value is None else f"{result.value:.6g}"
            screen.row(
                str(rank) if value else "",
                str(result.number),
                label(result.overrides, keys, result.number),
                value if result.error is None else result.error,
                ", ".join(curves),
                style=None if result.error is None else "red",
            )
        screen.show()

    def _order(self, result: Result) -> tuple[bool, bool, bool, float]:
        score = _score(result)
        return result.error is not None, result.value is None, math.isnan(score), -score if self.maximize else score


def _set_launcher(config: DictConfig, target: str) -> None:
    with flag_override(config.hydra.launcher, "readonly", False):
        config.hydra.launcher._target_ = target


def _score(result: Result) -> float:
    return math.nan if result.value is None else result.value


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _is_nan(value: Any) -> bool:
    return math.isnan(number(value) or 0.0)


def _table(results: Sequence[Result]) -> list[Sequence[object]]:
    """The rows of ``sweep.csv``."""
    keys = list(dict.fromkeys(key for result in results for key in result.overrides))
    paths = list(dict.fromkeys(c.path for result in results for c in result.curves))
    prints_of = ["fingerprint"] if len(paths) == 1 else [f"fingerprint {path}" for path in paths]
    rows: list[Sequence[object]] = [("job", *keys, "value", *prints_of, "error")]
    for result in results:
        prints = {c.path: c.fingerprint for c in result.curves}
        overrides = map(result.overrides.get, keys)
        rows.append([result.number, *overrides, result.value, *map(prints.get, paths), result.error])
    return rows


def _heat(keys: Sequence[str], results: Sequence[Result]) -> Heat | None:
    """The returned values over the two keys that were swept, if there are just two and both are numbers."""
    if len(keys) != 2:
        return None
    try:
        points = [(float(r.overrides[keys[0]]), float(r.overrides[keys[1]]), _score(r)) for r in results]
    except (KeyError, ValueError):
        return None
    drawn = any(math.isfinite(score) for _, _, score in points) and all(math.isfinite(x + y) for x, y, _ in points)
    return ((keys[0], keys[1]), points) if drawn else None
