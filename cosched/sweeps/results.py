"""What the jobs of a sweep returned, and the curves that they left in their folders."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from cosched.sweeps.curves import Curve, curve
from cosched.sweeps.jobs import as_dict
from cosched.sweeps.text import told

log = logging.getLogger(__name__)

JOB_FILE = "schedule.json"  # in the folder of each job
RUNNING = "ended without a result"
LOST = "not run, or nothing is left of it"


class JobError(Exception):
    """Stands for the exception of a job, which may not survive the way to another process."""


@dataclass
class Result:
    """A job of a sweep, as far as it is known."""

    number: int
    overrides: dict[str, str]
    value: float | None = None  # None: it returned no number
    error: str | None = LOST
    curves: list[Curve] = field(default_factory=list)

    def end(self, returned: JobReturn) -> None:
        """Take what the launcher got from the job."""
        self.error, self.value = None, None
        if returned.status is JobStatus.COMPLETED:
            self.value = number(returned._return_value)
        elif isinstance(returned._return_value, BaseException):
            self.error = failure(returned._return_value)
        else:
            self.error = RUNNING


def failure(error: BaseException) -> str:
    """The exception of a job in a line."""
    return str(error) if isinstance(error, JobError) else told(error)


def number(value: Any) -> float | None:
    """What a job returned as a number, if it is one: a tensor or array of one element is, a bool or text is not."""
    try:
        value = value.item() if hasattr(value, "item") else value
        return None if isinstance(value, (bool, str, bytes)) else float(value)
    except Exception:  # whatever the value's type raises
        return None


def save(folder: Path, state: Mapping[str, Any]) -> str:
    """Write a job's file; returns its text."""
    text = json.dumps(state, indent=2, default=str) + "\n"
    (folder / JOB_FILE).write_text(text, encoding="utf-8")
    return text


def gather(folder: Path, known: Mapping[int, Result], earlier: Mapping[Path, int]) -> list[Result]:
    """The jobs that are ``known``, with what their files in ``folder`` add: curves, and what was lost.

    A file of an ``earlier`` sweep is left out, and one that is not a job's.
    """
    found = dict(known)
    read = set()
    for file in sorted(folder.rglob(JOB_FILE), key=lambda file: (len(file.parts), file)):  # a job may hold a sweep
        try:
            if file.stat().st_mtime_ns == earlier.get(file):
                continue
            job, left, curves = _read(file)
            if job in read or job not in known:
                raise ValueError(f"job {job} is known from elsewhere")
        except Exception as problem:  # damaged, or of another program
            log.warning("%s is left out, for it is not the file of a job: %s", file, told(problem))
            continue
        read.add(job)
        # What came back from a job itself is known better than what its file says, but not all comes back.
        found[job] = replace(left if known[job].error == LOST else known[job], curves=curves)
    return [found[job] for job in sorted(found)]


def _read(file: Path) -> tuple[int, Result, list[Curve]]:
    state = json.loads(file.read_text(encoding="utf-8"))
    value, error = state["value"], state["error"]
    left = Result(
        number=int(state["job"]),
        overrides=as_dict(state["overrides"]),
        value=None if value is None else float(value),
        error=None if error is None else str(error),
    )
    curves = []
    for path, saved in state["schedules"].items():
        try:
            curves.append(curve(path, saved["fields"], state["epochs"], state["epoch_length"]))
        except Exception as problem:
            log.warning("%s: the curve of %s cannot be drawn: %s", file, path, told(problem))
    return left.number, left, curves
