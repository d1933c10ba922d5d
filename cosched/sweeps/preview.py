"""What ``hydra/launcher=preview`` does: compose every job of a sweep, show what its schedules do, run nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from cosched.config.hints import explained, hidden, nulls
from cosched.sweeps import pictures
from cosched.sweeps.curves import Curve, evaluate
from cosched.sweeps.design import Line
from cosched.sweeps.effects import constant, idle, own_values
from cosched.sweeps.jobs import (
    as_dict,
    command,
    does,
    label,
    program,
    ranges,
    repeats,
    repetition,
    schedules,
    together,
    told_apart,
)
from cosched.sweeps.lengths import Length, noted
from cosched.sweeps.line import branches_at, parts, restarts, sparkline
from cosched.sweeps.pictures import Page
from cosched.sweeps.screen import MANY, Row, Screen
from cosched.sweeps.text import attempt, message, plain, short, told, write_csv, write_curves
from cosched.sweeps.trunks import trunk

WRITTEN = ("preview.csv", "schedules.csv", "schedules.png", "schedules.svg", "schedules.html")  # but not each time
SPARE = ("restarts", "last", "max", "min")  # and `parts`, unless it says where a branch begins


@dataclass
class Job:
    """One point of a sweep: what its config declares, and what is wrong with it."""

    number: int
    overrides: dict[str, str]
    length: Length = field(default_factory=Length)
    curves: list[Curve] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)  # by path
    groups: dict[str, dict[str, float]] = field(default_factory=dict)  # by path: what a relative schedule multiplies
    idle: dict[str, str] = field(default_factory=dict)  # by key of an override without effect
    findings: list[str] = field(default_factory=list)  # of the job as a whole
    notes: list[str] = field(default_factory=list)  # what is no fault


class Preview:
    """Gathers the jobs of a sweep, batch by batch, and shows them all."""

    def __init__(self, config: DictConfig, say: Callable[[str], str] = "+cosched.{}=...".format) -> None:
        """Preview the jobs of the app with that ``config``; ``say`` tells how a part of the run's length is said."""
        self.config, self.say = config, say
        self.jobs: list[Job] = []
        self.composing = self.evaluating = 0.0  # seconds
        setup_globals()

    def compose(self, number: int, overrides: Sequence[str], composed: Callable[[], DictConfig]) -> None:
        """Add a job, whose config ``composed`` returns."""
        job = Job(number, as_dict(filter_overrides(overrides)))
        self.jobs.append(job)
        started = time.perf_counter()
        before = HydraConfig.instance().cfg
        try:
            config = composed()
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            HydraConfig.instance().set_config(config)
            job.length = Length.of(config)
            self.composing += time.perf_counter() - started
            started = time.perf_counter()
            earlier, wrong, remarks = trunk(config)
            job.curves, job.errors = evaluate(config, in_force=earlier and earlier.then, **job.length.whole)
            job.groups = own_values(config, job.curves)
            job.idle = idle(config, filter_overrides(overrides), job.curves)
            job.findings, job.notes = [*wrong, *job.idle.values()], [*remarks, *constant(config, job.curves)]
            job.findings += [] if job.curves else hidden()
            self.evaluating += time.perf_counter() - started
        except Exception as error:  # a resolver of the user's may raise anything
            job.errors["config"] = next(nulls(overrides), "") or why(error)
        finally:
            HydraConfig.instance().cfg = before

    def show(self, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Print a table, write ``schedules.png`` and the like; exit with status 1 if a job is invalid."""
        started = time.perf_counter()
        jobs = self.jobs
        same = repeats([(job.overrides, job.curves) for job in jobs], [job.idle for job in jobs])
        for i, earlier in same.items():
            which = f"job {jobs[earlier].number}" if len(jobs) <= MANY else "an earlier job"
            said = repetition(jobs[i].overrides, jobs[earlier].overrides, jobs[i].idle, which)
            jobs[i].findings = list(dict.fromkeys([*jobs[i].findings, *said]))  # some were found in an earlier batch
        folder = Path(str(self.config.hydra.sweep.dir))
        curves = [c for job in jobs for c in job.curves]
        called = told_apart((job.overrides for job in jobs), curves)
        written = self._write(folder, called)
        with attempt("printing the table"):
            print_jobs(jobs, called, self._title(), folder / "preview.csv", self.say)
        with attempt("printing what was done"):
            events = sum(c.num_events for job in jobs for c in job.curves)
            schedules = sum(len(job.curves) for job in jobs)
            self.evaluating += time.perf_counter() - started
            print(
                f"composed {len(jobs)} job{'s' * (len(jobs) != 1)} in {self.composing:.2f} s; evaluated {schedules} "
                f"schedule{'s' * (schedules != 1)} at {events:,} events, drew and wrote them in {self.evaluating:.2f} "
                "s; nothing was run"
            )
            print(*(plain(str(path)) for path in written), sep="\n", flush=True)
        if any(job.errors for job in jobs):
            sys.exit(1)
        # The value is for sweepers that optimise: they want a number.
        return [JobReturn(overrides=one, status=JobStatus.COMPLETED, _return_value=0.0) for one in job_overrides]

    def _title(self) -> str:
        lengths = list(dict.fromkeys(str(job.length) for job in self.jobs if "config" not in job.errors))
        of = f" of {self.config.hydra.job.name}" if self.config.hydra.job.name else ""
        jobs = f"{len(self.jobs)} job{'s' * (len(self.jobs) != 1)}{of}, previewed"
        return f"{jobs} over {lengths[0]}" if len(lengths) == 1 else jobs

    def _write(self, folder: Path, called: dict[str, str]) -> list[Path]:
        written = []
        curves = [((job.number, c.path), c.events, c.values) for job in self.jobs for c in job.curves]
        tables: dict[str, Callable[[Path], None]] = {
            "preview.csv": lambda path: write_csv(path, _table(self.jobs)),
            "schedules.csv": lambda path: write_curves(path, ("job", "schedule", "event", "value"), curves),
        }
        for name, write in tables.items():
            with attempt(f"writing {folder / name}"):
                folder.mkdir(parents=True, exist_ok=True)
                write(folder / name)
                written.append(folder / name)
        lines = [
            Line(
                curve=c,
                label=label(job.overrides, called, job.number),
                overrides=job.overrides,
                groups=job.groups.get(c.path, {}),
            )
            for job in self.jobs
            for c in job.curves
        ]
        if lines:
            with attempt(f"drawing {folder / 'schedules.png'}"):
                written += pictures.draw_curves(folder / "schedules.png", lines, _page(self.jobs, self._title()))
        if lines and find_spec("plotly"):
            with attempt(f"writing {folder / 'schedules.html'}"):
                written.append(_html(folder / "schedules.html", self.jobs, _page(self.jobs, self._title())))
        for path in {folder / name for name in WRITTEN} - {*written}:
            with attempt(f"removing {path}, which is of an earlier preview"):
                path.unlink(missing_ok=True)
        return written


def why(error: Exception) -> str:
    """Why there is no config, in a line: what was meant perhaps, or else what is said of it."""
    known = (HydraException, OmegaConfBaseException, RecursionError)
    said = explained(error)[:1] or [message(one) for one in (error, error.__cause__) if isinstance(one, known)]
    return plain(": ".join(one.rstrip(".") for one in said if one)) or told(error)


def _page(jobs: Sequence[Job], title: str) -> Page:
    """What stands around the curves of all jobs."""
    lengths = [job.length for job in jobs for _ in job.curves]
    epoch_lengths = {length.epoch_length for length in lengths}
    return Page(
        title=title,
        epoch_length=epoch_lengths.pop() if len(epoch_lengths) == 1 else None,
        note=noted(lengths),
    )


def _html(path: Path, jobs: Sequence[Job], page: Page) -> Path:
    from cosched.sweeps.page import Shown, write_page

    shown = [
        Shown(
            number=job.number,
            overrides=job.overrides,
            command=command(job.overrides, program()),
            curves=job.curves,
            groups=job.groups,
            notes=[*job.errors.values(), *job.findings, *job.notes, *(text for c in job.curves for text in c.findings)],
        )
        for job in jobs
    ]
    return write_page(path, shown, page)


def _table(jobs: Sequence[Job]) -> Iterator[Sequence[object]]:
    """The rows of ``preview.csv``: all that is known of each schedule of each job."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.overrides))
    values = ("parts", "restarts", "min", "max", "last", "fingerprint", "findings")
    yield ("job", *keys, "run", "schedule", "param_name", *values)
    for job in jobs:
        start = [job.number, *map(job.overrides.get, keys), str(job.length)]
        for c in job.curves:
            ends = (c.values.min(), c.values.max(), c.values[-1])
            found = "; ".join([*c.findings, *job.findings, *job.notes])
            where = (c.path, c.schedule.param_name)
            yield [*start, *where, parts(c), restarts(c, 20), *ends, c.fingerprint, found]
        for path, error in job.errors.items():
            yield [*start, path, *[None] * 7, f"error: {error}"]
        if not job.curves and not job.errors:
            yield [*start, None, *[None] * 7, "declares no schedule"]


def print_jobs(jobs: Sequence[Job], called: dict[str, str], title: str, file: Path, say: Callable[[str], str]) -> None:
    """Print one row per job, or where there are many, one per distinct curve."""
    branches = any(branches_at(c) is not None for job in jobs for c in job.curves)
    screen = Screen(title, (*SPARE, *["parts"] * (not branches)), numbers=("job", "count", "min", "max", "last"))
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        alike = len(jobs) <= MANY or not job.curves
        groups.setdefault((job.number,) if alike else (does(job.curves), *map(str, job.errors.items())), []).append(job)
    lengths = {job.length for job in jobs if "config" not in job.errors}
    what = schedules(c for job in jobs for c in job.curves)
    width = 24 if screen.console.width < 110 else 32
    summed = len(jobs) > MANY
    several = len(groups) < len(jobs)
    shown = list(groups.values())[:MANY] if summed else list(groups.values())
    for group in groups.values():
        job = group[0]
        said: dict[str, list[tuple[Sequence[str], int]]] = {}
        for one in group:
            first = next(iter([*(c.path for c in one.curves), *one.errors]), "")
            for path, texts in (
                (first, [*one.findings, *one.notes]),
                *((c.path, c.findings) for c in one.curves),
                *((path, [f"error: {error}"]) for path, error in one.errors.items()),
            ):
                said.setdefault(path, []).append((texts, one.number))
        marks = {path: screen.notes.marks(texts) for path, texts in said.items()}
        if group not in shown:
            continue
        lines = [
            {
                "schedule": what.get(c.path, c.path),
                "curve": sparkline(c, width),
                "parts": parts(c),
                "restarts": restarts(c),
                "min": f"{c.values.min():.4g}",
                "max": f"{c.values.max():.4g}",
                "last": f"{c.values[-1]:.4g}",
                "notes": marks[c.path],
            }
            for c in job.curves
        ]
        lines += [{"schedule": path, "notes": f"invalid {marks[path]}"} for path in job.errors]
        head = {"job": str(job.number)}
        if summed:
            head = {"jobs": short(ranges(one.number for one in group)), "count": str(len(group)) if several else ""}
        if len(lengths) > 1:
            head["run"] = str(job.length)
        found = any(one.findings for one in group) or any(c.findings for c in job.curves)
        style = "red" if job.errors else "yellow" if found else ""
        lines = lines or [{"schedule": "declares none", "notes": marks[""]}]
        screen.rows.append(
            Row(head=head, overrides=together([one.overrides for one in group], called), lines=lines, style=style)
        )
    if len(groups) > len(shown):
        screen.remarks.append(f"… and {len(groups) - len(shown)} more curves: {file}")
    if missing := dict.fromkeys(name for length in lengths for name in length.missing):
        screen.remarks.append(f"The length of the run is assumed: say it with {' '.join(map(say, missing))}")
    screen.show(whose=summed)
