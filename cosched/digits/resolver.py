"""The resolvers that the main job's configs use: they have to be there in each process that reads them."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from textwrap import shorten
from typing import Any

from omegaconf import OmegaConf

import cosched
from cosched.digits.folder import CHECKPOINT, checkpoints

ABOUT = """\
cosched-train trains a small network on 1,797 handwritten digits, with the schedules that its config declares.
cosched declares, previews, sweeps and applies parameter schedules: a learning rate, a momentum, ... Choose a shape or a
preset with scheduler=NAME, override any field of it, sweep with -m, and look before you train:

  cosched-train hydra/launcher=preview scheduler=wsd
  cosched-train -m hydra/launcher=preview scheduler.cycle_mult=1,1.5,2
  cosched list

== Presets ==
"""


def about() -> str:
    """What ``--help`` begins with: what this is, how to look at it, and each packaged preset in a line."""
    lines = []
    for file in sorted((Path(str(cosched.__file__)).parent / "conf/scheduler").glob("*.yaml")):
        comments = [line[2:] for line in file.read_text("utf-8").splitlines() if line.startswith("# ")]
        said = " ".join(line for line in comments if not line.startswith("yaml-language-server"))
        lines.append(f"  {file.stem:<20}{shorten(said, 98, placeholder='...')}")
    return (ABOUT + "\n".join(lines)).replace("$", "$$") + "\n"  # Hydra fills in what begins with a dollar


def point(resume_from: Any, resume_at: Any) -> Any:
    """After how much of a run another one continues: also where that is the name of a checkpoint."""
    match = CHECKPOINT.fullmatch(Path(str(resume_from)).name if resume_at is None else str(resume_at))
    return int(match[1]) if match else resume_at


def points(resume_from: Any) -> list[int] | None:
    """After which iterations a run can be continued; None: where there is none, or a single checkpoint is given."""
    folder = Path(str(resume_from))
    return [iteration for iteration, _ in checkpoints(folder)] if folder.is_dir() else None


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # OmegaConf 2.4 calls it `register_resolver`, which is another function in 2.3
    # How many batches the training set, of 1,797 digits less the validation set, makes: known before data is loaded.
    OmegaConf.register_new_resolver(
        "digits_epoch_length",
        lambda val_fraction, batch_size: math.ceil((1797 - math.ceil(1797 * val_fraction)) / max(batch_size, 1)),
        replace=True,
    )
    OmegaConf.register_new_resolver("digits_about", about, replace=True)
    # The end of a branch that lasts so many epochs, from a point in epochs on: "9ep" and 3 give 12.
    OmegaConf.register_new_resolver(
        "digits_epochs_after", lambda point, count: int(str(point).removesuffix("ep")) + count, replace=True
    )
    # The point in a run from which another one continues, as a preview can read it, and those that there are.
    OmegaConf.register_new_resolver("digits_point", point, replace=True)
    OmegaConf.register_new_resolver("digits_points", points, replace=True)
