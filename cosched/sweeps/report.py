"""The callback ``hydra/callbacks=schedule_report``: the curves of each job, and of a sweep beside what it returned."""

from __future__ import annotations

import csv
import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cosched.sweeps.curves import Curve, curve, evaluate, fields_at, first_restarts
from cosched.sweeps.jobs import as_dict, differing, label, twins
from cosched.sweeps.pictures import Heat, draw_sweep
from cosched.sweeps.preview import screen

log = logging.getLogger(__name__)

JOB_FILE = "schedule.json"


@dataclass
class Result:
    """What a job left in its folder."""

    number: int
    overrides: dict[str, str]
    curves: list[Curve]
    value: float  # NaN: none
    error: str | None


class ScheduleReport(Callback):
    """Saves each job's curves in its folder at its start, and sums a sweep up at its end, from the folders.

    From the folders, because a launcher may run jobs in other processes, where the callback of this one sees nothing.
    In a sweep a failed job is reported and the others go on; the exit status of the whole is then 1.
    """

    def __init__(self, epochs: int, epoch_length: int, maximize: bool) -> None:
        self.length, self.maximize = (epochs, epoch_length), maximize
        self.earlier: dict[Path, int] = {}  # when they were written

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember the files of an earlier sweep in the folder; not the time: nodes of a cluster have other clocks."""
        self.earlier = {file: file.stat().st_mtime_ns for file in Path(str(config.hydra.sweep.dir)).rglob(JOB_FILE)}

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Save ``schedule.png`` and ``schedule.json`` in the job's folder."""
        folder = Path(config.hydra.runtime.output_dir)
        node = OmegaConf.select(config, "hydra.callbacks.schedule_report")
        length = (node.epochs, node.epoch_length) if node is not None else self.length
        curves, errors = evaluate(config, *length)
        state = {
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
        }
        _save(folder, state)
        if curves:
            draw_sweep(folder / "schedule.png", [(c.path, c) for c in curves])

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add what the job returned, or why it failed."""
        folder = Path(config.hydra.runtime.output_dir)
        state = json.loads((folder / JOB_FILE).read_text())
        value = job_return._return_value
        if job_return.status is JobStatus.FAILED:
            state |= {"status": "failed", "error": f"{type(value).__name__}: {value}".splitlines()[0]}
            if config.hydra.mode is RunMode.MULTIRUN:
                log.error("job %s failed", state["job"], exc_info=value)
                # None: sweepers that optimise count what is no number as a failure, and go on; they choke on a NaN.
                job_return.status, job_return.return_value = JobStatus.COMPLETED, None
        else:
            number = isinstance(value, Real) and not isinstance(value, bool)
            state |= {"status": "completed", "value": float(value) if number else None}
        _save(folder, state)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv`` and ``sweep.png``, print the ranked table; exit with status 1 if a job failed."""
        folder = Path(str(config.hydra.sweep.dir))
        files = [file for file in folder.rglob(JOB_FILE) if file.stat().st_mtime_ns != self.earlier.get(file)]
        results = sorted((_result(json.loads(file.read_text())) for file in files), key=lambda result: result.number)
        if not results:
            return
        keys = differing([result.overrides for result in results])
        _write_csv(folder / "sweep.csv", results)
        lines = [(label(r.overrides, keys, r.number), c) for r in results for c in r.curves]
        if lines:
            scores = [r.value for r in results for _ in r.curves]
            draw_sweep(folder / "sweep.png", lines, scores, _heat(keys, results))
        self._print(results, keys)
        print(*sorted(folder.glob("sweep.*")), sep="\n")
        if any(result.error for result in results):
            sys.stdout.flush()
            sys.exit(1)

    def _print(self, results: Sequence[Result], keys: Sequence[str]) -> None:
        console, table = screen("sweep, best first")
        for name in ("rank", "job", "overrides", "value", "curve"):
            table.add_column(name)
        same = twins([result.curves for result in results])
        sign = -1 if self.maximize else 1
        ranked = sorted(range(len(results)), key=lambda i: (math.isnan(results[i].value), sign * results[i].value))
        for rank, i in enumerate(ranked, 1):
            result = results[i]
            curves = [
                f"same as job {results[same[i, c.path]].number}" if (i, c.path) in same else c.fingerprint
                for c in result.curves
            ]
            table.add_row(
                "" if math.isnan(result.value) else str(rank),
                str(result.number),
                label(result.overrides, keys, result.number),
                result.error or ("" if math.isnan(result.value) else f"{result.value:.6g}"),
                ", ".join(curves),
                style="red" if result.error else None,
            )
        console.print(table)


def _save(folder: Path, state: dict[str, Any]) -> None:
    (folder / JOB_FILE).write_text(json.dumps(state, indent=2) + "\n")


def _result(state: dict[str, Any]) -> Result:
    length = state["epochs"], state["epoch_length"]
    curves = [curve(path, saved["fields"], *length) for path, saved in state["schedules"].items()]
    value, error = state.get("value"), state.get("error")
    if state["status"] == "running":
        error = "ended without a result"
    return Result(state["job"], as_dict(state["overrides"]), curves, math.nan if value is None else value, error)


def _write_csv(path: Path, results: Sequence[Result]) -> None:
    keys = list(dict.fromkeys(key for result in results for key in result.overrides))
    paths = list(dict.fromkeys(c.path for result in results for c in result.curves))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        prints_of = ["fingerprint"] if len(paths) == 1 else [f"fingerprint {path}" for path in paths]
        writer.writerow(["job", *keys, "value", *prints_of, "error"])
        for result in results:
            prints = {c.path: c.fingerprint for c in result.curves}
            value = "" if math.isnan(result.value) else result.value
            overrides = [result.overrides.get(key, "") for key in keys]
            writer.writerow([result.number, *overrides, value, *map(prints.get, paths), result.error or ""])


def _heat(keys: Sequence[str], results: Sequence[Result]) -> Heat | None:
    """The returned values over the two keys that were swept, if there are just two and both are numbers."""
    if len(keys) != 2:
        return None
    try:
        points = [(float(r.overrides[keys[0]]), float(r.overrides[keys[1]]), r.value) for r in results]
    except (KeyError, ValueError):
        return None
    return (keys[0], keys[1]), points
