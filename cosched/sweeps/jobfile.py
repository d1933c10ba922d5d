"""What a job leaves in its folder, whatever becomes of it: ``schedule.json``, and its curves as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hydra.core.utils import filter_overrides
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cosched.binding.checkpoint import differences_of_branch, to_plain
from cosched.config.schemas import Binding, Mismatch
from cosched.schedules.durations import Run
from cosched.schedules.phases import Branched
from cosched.schedules.schedule import Schedule
from cosched.sweeps.curves import declared, evaluate, fields_at, over, read
from cosched.sweeps.effects import constant, idle, own_values
from cosched.sweeps.lengths import Length, noted
from cosched.sweeps.results import JOB_FILE, RUNNING
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import attempt
from cosched.sweeps.trunks import bound, drives, trunk


class JobFile:
    """The state of a job that runs in this process, kept in its folder.

    Args:
        config: the job's.
        length: of its run, as far as somebody has set it.
        maximize: whether the greatest value that jobs return is the best; None: not known.
    """

    def __init__(self, config: DictConfig, length: Length, maximize: bool | None) -> None:
        self.folder = Path(config.hydra.runtime.output_dir)
        self.process = os.getpid()
        self.file = self.folder / JOB_FILE
        self.before = self.read()  # what was there
        self.text: bytes | None = self.before  # what was written last; None: that is not known
        self.alone = OmegaConf.select(config, "hydra.mode") is RunMode.RUN
        self.held = bool(self.before) or self.alone  # until a run begins: it may still be refused
        self.drawn: int | None = None  # when the picture was
        overrides = list(config.hydra.overrides.task)
        earlier, wrong, _ = trunk(config)
        self.known = earlier is not None  # whether it is known what the run goes on from
        self.curves, errors = evaluate(config, in_force=earlier and earlier.then, **length.whole)
        self.configured = dict(_configured(config))
        self.fields = {path: fields_at(config, path) for path in self.configured}
        self.lengths = dict.fromkeys(self.configured, length)
        self.told: set[str] = set()  # the paths of the schedules whose run is known
        self.groups = own_values(config, self.curves)
        without = idle(config, filter_overrides(overrides), self.curves)
        number = OmegaConf.select(config, "hydra.job.num", throw_on_missing=False)
        self.title = f"{config.hydra.job.name}{'' if number is None else f', job {number}'}"
        self.state: dict[str, Any] = {
            "job": number or 0,
            "overrides": overrides,
            "maximize": maximize,
            "schedules": {c.path: {"fields": self.fields[c.path]} for c in self.curves},
            "findings": [*wrong, *without.values(), *constant(config, self.curves)],
            "idle": list(without),
            "errors": errors,
            "status": "running",
            "value": None,
            "error": RUNNING,
        }

    def start(self) -> None:
        """Write the file, unless one is there, or the run alone counts: then once it begins."""
        if not self.held:
            self.save()
            self.sketch()

    def sketch(self) -> None:
        """Draw the curves if it is known how long the run is."""
        if not any(length.assumed for length in self.lengths.values()):
            self.draw()

    def save(self) -> None:
        """Write the file."""
        for c in self.curves:
            saved = self.state["schedules"][c.path]
            saved.update(run=asdict(self.lengths[c.path]), fingerprint=c.fingerprint)
            saved["groups"] = self.groups.get(c.path, {})
            saved["restarts"] = first_restarts(c.schedule, c.num_events, 1000)
            plain = to_plain(c.declared.alone())
            if plain != to_plain(self.configured[c.path][0].alone()):
                saved["in_force"] = plain
        self.held, self.text = False, None
        text = (json.dumps(self.state, indent=2, default=str) + "\n").encode()
        self.file.write_bytes(text)
        self.text = text

    def read(self) -> bytes:
        """What is in the file; empty: there is none."""
        return self.file.read_bytes() if self.file.is_file() else b""

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
                title=f"{self.title}: {' '.join(self.state['overrides'])}".rstrip(": "),
                epoch_length=epoch_lengths.pop() if len(epoch_lengths) == 1 else None,
                note=noted(list(self.lengths.values())),
            )
            lines = [Line(curve=c, label=c.path, groups=self.groups.get(c.path, {})) for c in self.curves]
            draw_curves(file, lines, page)
            self.drawn = file.stat().st_mtime_ns

    def begins(self, bound_to: Mapping[str, Any], own: Mapping[str, float], schedule: Schedule, run: Run) -> None:
        """Take the length of a run that a schedule is about to drive: for that schedule, or those not told of yet.

        The arguments are those of `cosched.schedules.runs.begins`.
        """
        if os.getpid() != self.process:
            return
        with attempt("recording the run"):
            mine = {c.path for c in self.curves if _is(c.declared, bound_to, schedule)}
            taken = set() if mine else self.resumed(bound_to, schedule)
            mine |= taken
            self.groups |= {path: dict(own) for path in mine}
            length, before = Length.seen(run), dict(self.lengths)
            for path in mine or self.lengths.keys() - self.told:
                self.lengths[path] = length.otherwise(before[path])
            self.told |= mine
            for path in taken:
                self.take(path, schedule)
            if self.lengths != before or taken or own or self.held:
                self.evaluate(before)
                if self.ours():
                    held = self.held
                    self.save()
                    if held:
                        self.sketch()

    def resumed(self, bound_to: Mapping[str, Any], schedule: Schedule) -> set[str]:
        """The paths at which a schedule is configured that does not run as such, for the run goes on from another."""
        found = set()
        for path, (configured, _) in self.configured.items():
            if not drives(configured, bound_to):
                continue
            if configured.on_mismatch is Mismatch.branch and isinstance(schedule, Branched):
                if not differences_of_branch(schedule, configured.alone()):
                    found.add(path)
            elif configured.on_mismatch is Mismatch.checkpoint and not self.known:
                found.add(path)
        return found if len(found) == 1 else set()

    def take(self, path: str, schedule: Schedule) -> None:
        """Let ``schedule`` be what is in force at ``path``."""
        configured, warned = self.configured[path]
        new = over(path, bound(configured, schedule), warned, **self.lengths[path].whole)
        there = {c.path: c for c in self.curves} | {path: new}
        self.curves = [there[one] for one in self.configured if one in there]
        self.state["schedules"].setdefault(path, {"fields": self.fields[path]})
        self.state["errors"].pop(path, None)

    def evaluate(self, before: dict[str, Length]) -> None:
        """Evaluate the curves anew that have another length than ``before``."""
        for i, c in enumerate(self.curves):
            if self.lengths[c.path] != before[c.path]:
                self.curves[i] = over(c.path, c.declared, c.warned, **self.lengths[c.path].whole)

    def ours(self) -> bool:
        """Whether the file is still what it was, or what was written; else it is the job's own."""
        return self.text is not None and self.read() == self.text

    def end(self, **end: Any) -> None:
        """Add how the job has ended."""
        with attempt(f"writing {self.file}"):
            if self.ours():
                self.state.update(end)
                self.save()
                self.draw()

    def refused(self, **end: Any) -> None:
        """Leave all as it was before; but a job of a sweep, where nothing was, says why it did not run."""
        if not self.before and not self.alone:
            self.end(**end)
            return
        with attempt(f"writing {self.file}"):
            if not self.held and self.ours():
                if self.before:
                    self.file.write_bytes(self.before)
                else:
                    self.file.unlink()
                if self.drawn is not None:
                    for suffix in (".png", ".svg"):
                        (self.folder / "schedule").with_suffix(suffix).unlink()


def _configured(config: DictConfig) -> Iterator[tuple[str, tuple[Binding, list[str]]]]:
    """By path what is configured, and what is odd about it alone."""
    for path in declared(config)[0]:
        with suppress(Exception):  # what is wrong with it is known
            yield path, read(fields_at(config, path))


def _is(one: Binding, bound_to: Mapping[str, Any], schedule: Schedule) -> bool:
    """Whether it is a schedule that a loop has bound to that."""
    same = all(getattr(one, f.name, None) == getattr(schedule, f.name) for f in fields(schedule))
    return same and drives(one, bound_to)
