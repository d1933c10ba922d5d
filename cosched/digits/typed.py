"""What was typed: the command that continues a run, and what its pictures are called."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

# What says where a run goes, or who starts it.
ELSEWHERE = re.compile(r"[+~]*(hydra([./](run|sweep|mode|launcher|sweeper)\b|\.output_subdir)|resume_(from|at)\b)")


def command_to_continue(folder: Path) -> str:
    """The command that continues the run in ``folder``, as a shell takes it, where this one has been typed."""
    words, overrides = ["cosched-train"], []
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        here = Path(hydra.runtime.cwd)
        folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
        for source in hydra.runtime.config_sources:
            if source.provider == "command-line":
                words += ["--config-dir", source.path]
        overrides = [*hydra.overrides.hydra, *hydra.overrides.task]
    place = str(folder)
    if not re.fullmatch(r"[\w./:+@%-]+", place):  # what else has a meaning in an override
        place = "'" + place.replace("'", r"\'") + "'"
    mine = [one for one in overrides if not ELSEWHERE.match(one)]
    return shlex.join([*words, f"hydra.run.dir={place}", f"resume_from={place}", *mine])


def title(folder: Path) -> str:
    """What stands above a picture of the run in ``folder``: the app, in a sweep the job, and the overrides."""
    if not HydraConfig.initialized():
        return folder.resolve().name
    hydra = HydraConfig.get()
    job = "" if OmegaConf.is_missing(hydra.job, "num") else f", job {hydra.job.num}"
    return f"{hydra.job.name}{job}: {' '.join(hydra.overrides.task)}".rstrip(": ")
