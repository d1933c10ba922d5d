"""What a run goes on from: the schedules of an earlier run, read as plain data, so that its branches can be previewed.

An app says it in its own config, next to what else it tells us, mostly by interpolations of its own keys::

    cosched:
      resume_from: ${resume_from} # the folder of the earlier run, or a file in it; null: none
      resume_at: ${resume_at} # after how much of that run: 120 (iterations), 8ep, 50%; null: after all of it
      resume_points: [100, 200] # after which iterations it has checkpoints, if you know: null is after the last of them

In the folder it leaves a file ``run.json``, once the schedules have their run. It holds what each `state_dict` gives,
and whatever else the app wants to keep there::

    json.dumps({"schedulers": {"lr": scheduler.state_dict()}})
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from cosched.binding import checkpoint
from cosched.config.schemas import Binding, Mismatch, scheduler
from cosched.schedules.durations import DATA, Run
from cosched.schedules.phase import lasting
from cosched.schedules.phases import Branched, branched
from cosched.schedules.schedule import Schedule
from cosched.sweeps.text import message

RUN_FILE = "run.json"
STATE = "engine.state."  # before the name of what is not the optimizer's, in a config


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A run, as far as another one goes on from it.

    Attributes:
        file: what it has left.
        states: what the `state_dict` of each of its schedulers gave.
        at: after how much of it the other one goes on, as it is declared; None: the last of its points, or all.
        points: after which iterations it has checkpoints; None: not known.
    """

    file: Path
    states: list[Mapping[str, Any]]
    at: int | str | None = None
    points: Sequence[int] | None = None

    def then(self, path: str, declared: Binding, run: Run) -> Binding:
        """What is in force in ``run``, which goes on from this one, where ``declared`` is configured at ``path``.

        Raises:
            ValueError: the run would be refused, or what this one has left is not what it should be.
        """
        state = self._state(declared)
        if state is None:
            return declared
        saved, earlier = checkpoint.from_plain(state["schedule"]), checkpoint.run_from_plain(state["run"])
        if not isinstance(saved, Schedule) or earlier is None:
            raise ValueError(f"{self.file} holds no schedule of {declared.param_name} over a run")
        resolved, at, own = saved.resolve_in(earlier), self._events(earlier), declared.alone()
        differing = checkpoint.differences(checkpoint.to_plain(saved), checkpoint.to_plain(own))
        policy = declared.on_mismatch
        if isinstance(saved, Branched) and not checkpoint.differences_of_branch(saved, own):
            differing = [] if policy is Mismatch.branch else differing
        if not differing or policy is Mismatch.checkpoint:
            goes_on = saved.resolve_in(run.knowing(**_data(declared)))
            differing = checkpoint.differences(checkpoint.to_plain(resolved), checkpoint.to_plain(goes_on))
        if not differing:
            return bound(declared, saved)
        if policy is Mismatch.error:
            raise ValueError(
                f"{self.file.parent} has another schedule: {'; '.join(differing)}. Choose {path}.on_mismatch=config, "
                "checkpoint or branch"
            )
        if policy is Mismatch.checkpoint:
            return bound(declared, resolved)
        if policy is Mismatch.config:  # as if it had been so from the start, but for what the trunk has done
            own = lasting(own.resolve_in(run.knowing(**_data(declared))), None, skip=at)
        return bound(declared, branched(resolved, at, own))

    def _state(self, declared: Binding) -> Mapping[str, Any] | None:
        """That of the scheduler which drives the same, if there is one."""
        return next((one for one in self.states if drives(declared, one)), None)

    def _events(self, earlier: Run) -> int:
        """After how many events of a schedule the other run goes on."""
        iterations = self._iterations(earlier)
        return -(-iterations // cast("int", earlier.epoch_length)) if earlier.per_epoch else iterations

    def _iterations(self, earlier: Run) -> int:
        """After how many iterations of this run the other one goes on."""
        run = replace(earlier, per_epoch=False)
        end = run.num_events
        last = max(self.points) if self.points else end
        iterations = last if self.at is None else run.events("cosched.resume_at", self.at, 0)
        if iterations is None:
            raise ValueError(f"{self.file} does not say where its run ends: give cosched.resume_at")
        if end is not None and iterations > end:
            raise ValueError(f"cosched.resume_at={self.at} is after the end of {self.file.parent}, which has {end}it")
        return iterations

    def remarks(self) -> tuple[list[str], list[str]]:
        """What is wrong with the point at which the other run goes on; and which one it is, where nobody chose it."""
        try:
            run = checkpoint.run_from_plain(self.states[0]["run"]) or Run()
            iterations = self._iterations(run)
        except Exception:  # said of each schedule
            return [], []
        folder, found, notes = self.file.parent, [], []
        if self.points is not None and iterations not in self.points:
            there = [f"{n}it" for n in sorted(self.points, key=lambda n: abs(n - iterations))[:5]]
            have = f"only of {', '.join(there)}" if there else "nor of another one"
            found = [f"{folder} has no checkpoint of iteration {iterations}, {have}"]
        elif self.at is None:
            which = "its last checkpoint" if self.points else "its end"
            notes = [f"goes on after {iterations} iterations of {folder}, {which}"]
        return found, notes


def trunk(config: DictConfig) -> tuple[Trunk | None, list[str], list[str]]:
    """What the run of an app's ``config`` goes on from; what is wrong with that, and what is to be said of it.

    Raises:
        OmegaConfBaseException: the config cannot be resolved.
    """
    resume_from = OmegaConf.select(config, "cosched.resume_from")
    if resume_from is None:
        return None, [], []
    place = Path(str(resume_from))
    folder = place if place.is_dir() else place.parent
    file = folder / RUN_FILE
    try:
        states = json.loads(file.read_bytes())["schedulers"].values()
    except FileNotFoundError:
        what = f"there is no {RUN_FILE} in {folder}" if place.exists() else f"there is no {place}"
        return None, [f"{what}: what the run goes on from is not shown"], []
    except Exception as error:  # damaged, or of another program
        return None, [f"{file} cannot be read ({message(error)}): what the run goes on from is not shown"], []
    points = OmegaConf.select(config, "cosched.resume_points")
    found = Trunk(
        file=file,
        states=[one for one in states if isinstance(one, Mapping)],
        at=OmegaConf.select(config, "cosched.resume_at"),
        points=None if points is None else [int(one) for one in points],
    )
    return found, *found.remarks()


def drives(declared: Binding, state: Mapping[str, Any]) -> bool:
    """Whether it is bound to what a scheduler with that state is."""
    name = declared.param_name.removeprefix(STATE)
    wanted = (name, declared.param_group_index, declared.param_group, declared.relative, declared.event.value)
    keys = ("param_name", "param_group_index", "param_group", "relative", "event")
    return tuple(map(state.get, keys)) == wanted


def bound(declared: Binding, schedule: Schedule) -> Binding:
    """``schedule``, bound to what ``declared`` is bound to."""
    if schedule is declared or isinstance(schedule, Binding):
        return schedule
    values = {f.name: getattr(schedule, f.name) for f in fields(schedule)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has warned, if there is reason
        kind: Any = scheduler(type(schedule))
        made: Binding = kind(**values, **{f.name: getattr(declared, f.name) for f in fields(Binding)})
        return made


def _data(declared: Binding) -> dict[str, Any]:
    return {name: getattr(declared, name) for name in DATA.values()}
