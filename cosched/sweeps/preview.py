"""What ``hydra/launcher=preview`` does: compose every job of a sweep, show what its schedules do, run nothing."""

from __future__ import annotations

import csv
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
from rich.console import Console
from rich.table import Table

from cosched.sweeps.curves import Curve, evaluate, first_restarts
from cosched.sweeps.jobs import as_dict, differing, label, twins
from cosched.sweeps.pictures import draw_sweep


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
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        keys = differing([job.overrides for job in self.jobs])
        same = twins([job.curves for job in self.jobs])
        curves = [(i, c) for i, job in enumerate(self.jobs) for c in job.curves]
        self._print(keys, same)
        with (folder / "schedules.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["job", "schedule", "event", "value"])
            for i, c in curves:
                rows = zip(c.events.tolist(), c.values.tolist(), strict=True)
                writer.writerows([self.jobs[i].number, c.path, event, value] for event, value in rows)
        distinct = [
            (label(self.jobs[i].overrides, keys, self.jobs[i].number), c) for i, c in curves if (i, c.path) not in same
        ]
        if distinct:
            draw_sweep(folder / "schedules.png", distinct)
        events = sum(c.num_events for _, c in curves)
        print(
            f"composed {len(self.jobs)} jobs in {self.composing:.2f} s, evaluated {len(curves)} schedules at "
            f"{events:,} events in {self.evaluating:.2f} s; nothing was run"
        )
        print(*sorted(folder.glob("schedules.*")), sep="\n")
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
                config.hydra.job.id = config.hydra.job.num = number
            HydraConfig.instance().set_config(config)
            length = config.hydra.launcher.epochs, config.hydra.launcher.epoch_length
        except (HydraException, OmegaConfBaseException) as error:
            job.errors["config"] = str(error).splitlines()[0]
            return job
        composed = time.perf_counter()
        job.curves, job.errors = evaluate(config, *length)
        self.composing += composed - started
        self.evaluating += time.perf_counter() - composed
        return job

    def _print(self, keys: Sequence[str], same: dict[tuple[int, str], int]) -> None:
        console, table = screen("schedules, previewed")
        for name in ("job", "overrides", "schedule", "curve"):
            table.add_column(name, no_wrap=name in ("job", "curve"), overflow="fold")
        for name in ("cycles", "restarts", "min", "max", "last"):
            table.add_column(name, justify="right")
        table.add_column("findings", overflow="fold")
        for i, job in enumerate(self.jobs):
            name = label(job.overrides, keys, job.number)
            for c in job.curves:
                notes = list(c.findings)
                if (i, c.path) in same:
                    notes.insert(0, f"same curve as job {self.jobs[same[i, c.path]].number}")
                table.add_row(
                    str(job.number),
                    name,
                    f"{c.path} ({c.schedule.param_name})",
                    sparkline(c, 24 if console.width >= 140 else 12),
                    str(c.schedule.cycles(c.num_events)),
                    restarts(c),
                    *(f"{value:.4g}" for value in (c.values.min(), c.values.max(), c.values[-1])),
                    "; ".join(notes),
                    style="yellow" if notes else None,
                )
            for path, message in job.errors.items():
                table.add_row(str(job.number), name, path, *[""] * 6, f"error: {message}", style="red")
            if not job.curves and not job.errors:
                table.add_row(str(job.number), name, "none declared", style="dim")
        console.print(table)


def screen(title: str) -> tuple[Console, Table]:
    """A console, wide where it is no terminal whose width it must fit, and an empty table for it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    return console, Table(title=title, title_justify="left", header_style="bold")


def sparkline(c: Curve, width: int) -> str:
    """The curve in one line of text, the greatest value of each of ``width`` stretches."""
    stretches = np.minimum(c.events * width // c.num_events, width - 1)
    tops = np.full(width, -np.inf)
    np.maximum.at(tops, stretches, c.values)
    tops = tops[np.isfinite(tops)]
    if not tops.size:
        return ""
    low, high = min(tops.min(), c.values[np.isfinite(c.values)].min()), tops.max()
    levels = np.rint((tops - low) / (high - low or 1.0) * 7).astype(int)
    return "".join("▁▂▃▄▅▆▇█"[level] for level in levels)


def restarts(c: Curve, shown: int = 3) -> str:
    """The first restarts of the curve, in its events."""
    first = first_restarts(c.schedule, c.num_events, shown + 1)
    return ", ".join([*map(str, first[:shown]), *["…"] * (len(first) > shown)])
