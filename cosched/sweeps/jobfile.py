"""What a job leaves in its folder, whatever becomes of it: ``schedule.json``, and its curves as a picture."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf

from cosched.schedules.durations import Run
from cosched.schedules.schedule import Schedule
from cosched.sweeps.curves import Curve, evaluate, fields_at, over
from cosched.sweeps.effects import constant, idle
from cosched.sweeps.lengths import Length
from cosched.sweeps.results import JOB_FILE, RUNNING
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import attempt


class JobFile:
    """The state of a job that runs in this process, kept in its folder.

    Args:
        config: the job's.
        length: of its run, as far as somebody has set it.
        maximize: whether the greatest value that jobs return is the best; None: not known.
    """

    def __init__(self, config: DictConfig, length: Length, maximize: bool | None) -> None:
        self.folder = Path(config.hydra.runtime.output_dir)
        self.name = str(config.hydra.job.name)
        self.process = os.getpid()
        self.text = ""  # what was written last
        self.drawn: int | None = None  # when the picture was
        overrides = list(config.hydra.overrides.task)
        self.curves, errors = evaluate(config, **length.whole)
        self.lengths = {c.path: length for c in self.curves}
        self.told: set[str] = set()  # the paths of the schedules whose run is known
        without = idle(config, filter_overrides(overrides), self.curves)
        self.state: dict[str, Any] = {
            "job": OmegaConf.select(config, "hydra.job.num", throw_on_missing=False) or 0,
            "overrides": overrides,
            "maximize": maximize,
            "schedules": {c.path: {"fields": fields_at(config, c.path)} for c in self.curves},
            "findings": [*without.values(), *constant(config, self.curves)],
            "idle": list(without),
            "errors": errors,
            "status": "running",
            "value": None,
            "error": RUNNING,
        }
        if not length.assumed:
            self.draw()

    def save(self) -> None:
        """Write the file."""
        for c in self.curves:
            known = {"run": asdict(self.lengths[c.path]), "fingerprint": c.fingerprint}
            restarts = first_restarts(c.schedule, c.num_events, 1000)
            self.state["schedules"][c.path].update(known, restarts=restarts)
        text, self.text = json.dumps(self.state, indent=2, default=str) + "\n", ""
        (self.folder / JOB_FILE).write_text(text, encoding="utf-8")
        self.text = text

    def draw(self) -> None:
        """Draw the curves, unless the job has a picture of its own there."""
        file = self.folder / "schedule.png"
        if not self.curves or (file.exists() and file.stat().st_mtime_ns != self.drawn):
            return
        with attempt(f"drawing {file}"):
            from cosched.sweeps.design import Line
            from cosched.sweeps.pictures import Page, draw_curves

            lengths = set(self.lengths.values())
            epoch_lengths = {length.epoch_length for length in lengths}
            page = Page(
                title=f"{self.name}, job {self.state['job']}: {' '.join(self.state['overrides'])}".rstrip(": "),
                epoch_length=epoch_lengths.pop() if len(epoch_lengths) == 1 else None,
                note="; ".join(str(length) for length in lengths if length.assumed),
            )
            draw_curves(file, [Line(curve=c, label=c.path) for c in self.curves], page)
            self.drawn = file.stat().st_mtime_ns

    def begins(self, param_name: str, schedule: Schedule, run: Run) -> None:
        """Take the length of a run that a schedule is about to drive: for that schedule, or those not told of yet."""
        if os.getpid() != self.process:
            return
        with attempt("recording the run"):
            mine = {c.path for c in self.curves if _is(c, param_name, schedule)}
            length, before = Length.seen(run), dict(self.lengths)
            for path in mine or self.lengths.keys() - self.told:
                self.lengths[path] = length.otherwise(before[path])
            self.told |= mine
            if self.lengths != before:
                self.evaluate(before)
                if self.ours():
                    self.save()

    def evaluate(self, before: dict[str, Length]) -> None:
        """Evaluate the curves anew that have another length than ``before``."""
        for i, c in enumerate(self.curves):
            if self.lengths[c.path] != before[c.path]:
                self.curves[i] = over(c.path, c.declared, c.warned, **self.lengths[c.path].whole)

    def ours(self) -> bool:
        """Whether the file is still what was written; else it is the job's own."""
        file = self.folder / JOB_FILE
        return bool(self.text) and file.exists() and file.read_text(encoding="utf-8") == self.text

    def end(self, **end: Any) -> None:
        """Add how the job has ended."""
        with attempt(f"writing {self.folder / JOB_FILE}"):
            if self.ours():
                self.state.update(end)
                self.save()
                self.draw()


def _is(c: Curve, param_name: str, schedule: Schedule) -> bool:
    """Whether a curve is that of a schedule that a loop has bound to ``param_name``."""
    same = c.declared.param_name.rpartition("engine.state.")[2] == param_name
    return same and all(getattr(c.declared, f.name, None) == getattr(schedule, f.name) for f in fields(schedule))
