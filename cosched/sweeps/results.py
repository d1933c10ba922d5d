"""What the jobs of a sweep returned, and the curves that they left in their folders."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from cosched.binding.checkpoint import from_plain
from cosched.config.schemas import Binding
from cosched.schedules.durations import Run
from cosched.schedules.schedule import Schedule
from cosched.sweeps.curves import Curve, curve
from cosched.sweeps.jobs import as_dict
from cosched.sweeps.lengths import Length
from cosched.sweeps.text import told
from cosched.sweeps.trunks import bound

log = logging.getLogger(__name__)

JOB_FILE = "schedule.json"  # in the folder of each job
RUNNING = "has left no result: it is still running, or was killed"
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
    lengths: list[Length] = field(default_factory=list)  # of the run, for each curve
    findings: list[str] = field(default_factory=list)  # of the job as a whole
    idle: list[str] = field(default_factory=list)  # keys of overrides without effect
    groups: dict[str, dict[str, float]] = field(default_factory=dict)  # by path: what a relative schedule multiplies
    maximize: bool | None = None  # whether the greatest value is the best; None: not known
    program: list[str] = field(default_factory=list)  # the words that start the app; none: not known
    folder: Path | None = None  # where it left something

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


def gather(folder: Path, known: Mapping[int, Result], earlier: Mapping[Path, int]) -> list[Result]:
    """The jobs that are ``known``, with what their files in ``folder`` add: curves, and what was lost.

    A file of an ``earlier`` sweep is left out, and one that is not a job's.
    """
    found = dict(known)
    read = set()
    for file in _files(folder):
        try:
            if file.stat().st_mtime_ns == earlier.get(file):
                continue
            left = _read(file)
            job = left.number
            if job in read or job not in known:
                raise ValueError(f"job {job} is known from elsewhere")
        except Exception as problem:  # damaged, or of another program
            log.warning("%s is left out, for it is not the file of a job: %s", file, told(problem))
            continue
        read.add(job)
        # What came back from a job itself is known better than what its file says, but not all comes back.
        value, error = (left.value, left.error) if known[job].error == LOST else (known[job].value, known[job].error)
        found[job] = replace(left, overrides=known[job].overrides, value=value, error=error)
    return [found[job] for job in sorted(found)]


def collect(folders: Sequence[Path]) -> list[Result]:
    """What the jobs of sweeps, and single runs, have left in ``folders`` or anywhere below them.

    Those of several folders, and those that do not have numbers of their own, are numbered anew.
    """
    found = []
    for file in dict.fromkeys(file for folder in folders for file in _files(folder)):
        try:
            found.append(_read(file))
        except Exception as problem:
            log.warning("%s is left out, for it is not the file of a job: %s", file, told(problem))
    _tell_earlier(found)
    numbers = [one.number for one in found]
    if len(set(numbers)) == len(numbers):
        return sorted(found, key=lambda one: one.number)
    return [replace(one, number=i) for i, one in enumerate(found)]


def _tell_earlier(results: Sequence[Result]) -> None:
    """Say of a job that an earlier sweep has left it in the folder of a later one, which had fewer jobs."""
    sweeps: dict[Path, dict[bool, list[Result]]] = {}
    for one in results:
        if one.folder is not None and (began := one.folder.parent / "multirun.yaml").exists():
            earlier = (one.folder / JOB_FILE).stat().st_mtime_ns < began.stat().st_mtime_ns
            sweeps.setdefault(began, {True: [], False: []})[earlier].append(one)
    for began, found in sweeps.items():
        for one in found[True] if found[False] else []:  # where all are older, they have been copied
            one.findings.append(f"is of an earlier sweep in {began.parent}: it is older than {began.name}")


def _files(folder: Path) -> list[Path]:
    """The files of jobs below a folder; a job may hold a sweep, which comes after it."""
    natural = re.compile(r"(\d+)")

    def order(file: Path) -> tuple[int, list[tuple[int, str]]]:
        pieces = natural.split(str(file))
        return len(file.parts), [(int(one), "") if one.isdigit() else (0, one) for one in pieces]

    return sorted(folder.rglob(JOB_FILE), key=order)


def _read(file: Path) -> Result:
    state = json.loads(file.read_text(encoding="utf-8"))
    value, error = state["value"], state["error"]
    left = Result(
        number=int(state["job"]),
        overrides=as_dict(state["overrides"]),
        value=None if value is None else float(value),
        error=None if error is None else str(error),
        findings=list(map(str, state["findings"])),
        idle=list(map(str, state["idle"])),
        maximize=None if state["maximize"] is None else bool(state["maximize"]),
        program=list(map(str, state.get("program", []))),
        folder=file.parent,
    )
    for path, saved in state["schedules"].items():
        try:
            length = Length(**saved["run"])
            composed = from_plain(saved.get("in_force"))  # of a run that has gone on from another one
            in_force = None if composed is None else partial(_bound, composed)
            left.curves.append(curve(path, saved["fields"], in_force=in_force, **length.whole))
            left.lengths.append(length)
            left.groups[path] = {str(name): float(value) for name, value in saved.get("groups", {}).items()}
        except Exception as problem:
            log.warning("%s: the curve of %s cannot be drawn: %s", file, path, told(problem))
    return left


def _bound(schedule: Schedule, path: str, declared: Binding, run: Run) -> Binding:
    return bound(declared, schedule)
