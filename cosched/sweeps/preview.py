"""What ``hydra/launcher=preview`` does: compose every job of a sweep, show what its schedules do, run nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from cosched.sweeps.curves import Curve, evaluate
from cosched.sweeps.jobs import as_dict, differing, label, twins
from cosched.sweeps.pictures import draw_sweep
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.screen import Screen
from cosched.sweeps.text import attempt, message, plain, told, write_csv


@dataclass
class Job:
    """One point of a sweep: what its config declares, and what is wrong with it."""

    number: int
    overrides: dict[str, str]
    curves: list[Curve] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)  # by path


class Preview:
    """Gathers the jobs of a sweep, batch by batch, and shows them all."""

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader, self.config = loader, config
        self.jobs: list[Job] = []
        self.composing = self.evaluating = 0.0  # seconds

    def show(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Print a table, write ``schedules.png`` and ``schedules.csv``; exit with status 1 if a job is invalid."""
        setup_globals()
        before = HydraConfig.instance().cfg
        try:
            for i, overrides in enumerate(job_overrides):
                self.jobs.append(self._job(initial_job_idx + i, overrides))
        finally:
            HydraConfig.instance().cfg = before
        keys = differing([job.overrides for job in self.jobs])
        same = twins([job.curves for job in self.jobs])
        curves = [(i, c) for i, job in enumerate(self.jobs) for c in job.curves]
        with attempt("printing the table"):
            self._print(keys, same)
        folder = Path(str(self.config.hydra.sweep.dir))
        written = []
        with attempt(f"writing {folder / 'schedules.csv'}"):
            folder.mkdir(parents=True, exist_ok=True)
            rows = [
                (self.jobs[i].number, c.path, event, value)
                for i, c in curves
                for event, value in zip(c.events.tolist(), c.values.tolist(), strict=True)
            ]
            write_csv(folder / "schedules.csv", [("job", "schedule", "event", "value"), *rows])
            written.append(folder / "schedules.csv")
        distinct = [
            (label(self.jobs[i].overrides, keys, self.jobs[i].number), c) for i, c in curves if (i, c.path) not in same
        ]
        if distinct:
            with attempt(f"drawing {folder / 'schedules.png'}"):
                draw_sweep(folder / "schedules.png", distinct)
                written.append(folder / "schedules.png")
        with attempt("printing what was done"):
            events = sum(c.num_events for _, c in curves)
            print(
                f"composed {len(self.jobs)} jobs in {self.composing:.2f} s, evaluated {len(curves)} schedules at "
                f"{events:,} events in {self.evaluating:.2f} s; nothing was run"
            )
            print(*(plain(str(path)) for path in written), sep="\n", flush=True)
        if any(job.errors for job in self.jobs):
            sys.exit(1)
        # The value is for sweepers that optimise: they want a number.
        return [JobReturn(overrides=one, status=JobStatus.COMPLETED, _return_value=0.0) for one in job_overrides]

    def _job(self, number: int, overrides: Sequence[str]) -> Job:
        job = Job(number, as_dict(filter_overrides(overrides)))
        started = time.perf_counter()
        try:
            config = self.loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            HydraConfig.instance().set_config(config)
            length = config.hydra.launcher.epochs, config.hydra.launcher.epoch_length
        except (HydraException, OmegaConfBaseException, RecursionError) as error:
            job.errors["config"] = message(error)
            return job
        except Exception as error:  # a resolver of the user's may raise anything
            job.errors["config"] = told(error)
            return job
        composed = time.perf_counter()
        job.curves, job.errors = evaluate(config, *length)
        self.composing += composed - started
        self.evaluating += time.perf_counter() - composed
        return job

    def _print(self, keys: Sequence[str], same: dict[tuple[int, str], int]) -> None:
        screen = Screen("schedules, previewed")
        values = ("min", "max", "last")
        names: tuple[str, ...] = ("overrides", "schedule", "curve", "cycles", "restarts", *values, "findings")
        if not screen.wide:  # the texts one below the other
            names = ("schedule", "curve", *values)
        screen.columns("job", *names, whole=["curve"], numbers=["job", "cycles", *values])
        for i, job in enumerate(self.jobs):
            name = label(job.overrides, keys, job.number)
            for c in job.curves:
                notes = list(c.findings)
                if (i, c.path) in same:
                    notes.insert(0, f"same curve as job {self.jobs[same[i, c.path]].number}")
                what, cycles = f"{c.path} ({c.schedule.param_name})", str(c.schedule.cycles(c.num_events))
                ends = [f"{value:.4g}" for value in (c.values.min(), c.values.max(), c.values[-1])]
                style = "yellow" if notes else None
                if screen.wide:
                    line = sparkline(c, 24)
                    screen.row(str(job.number), name, what, line, cycles, restarts(c), *ends, notes, style=style)
                else:
                    screen.row(str(job.number), [name, what, *notes], sparkline(c, 12), *ends, style=style)
            for path, error in job.errors.items():
                error = f"error: {error}"
                if screen.wide:
                    screen.row(str(job.number), name, path, *[""] * 6, error, style="red")
                else:
                    screen.row(str(job.number), [name, path, error], style="red")
            if not job.curves and not job.errors:
                screen.row(str(job.number), name, "none declared", style="dim")
        screen.show()


def sparkline(c: Curve, width: int) -> str:
    """The curve in one line of text, the greatest value of each of ``width`` stretches."""
    stretches = np.minimum(c.events * width // c.num_events, width - 1)
    tops = np.full(width, -np.inf)
    np.maximum.at(tops, stretches, c.values)
    tops = tops[np.isfinite(tops)]
    if not tops.size:
        return ""
    low, high = min(tops.min(), c.values[np.isfinite(c.values)].min()) / 8, tops.max() / 8  # their distance is finite
    levels = np.rint((tops / 8 - low) / (high - low or 1.0) * 7).astype(int)
    return "".join("▁▂▃▄▅▆▇█"[level] for level in levels)


def restarts(c: Curve, shown: int = 3) -> str:
    """The first restarts of the curve, in its events."""
    first = first_restarts(c.schedule, c.num_events, shown + 1)
    return ", ".join([*map(str, first[:shown]), *["…"] * (len(first) > shown)])
