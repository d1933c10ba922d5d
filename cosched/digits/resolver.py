"""The resolvers that the main job's configs use: they have to be there in each process that reads them."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cosched.digits.folder import CHECKPOINT, checkpoints


def point(resume_from: Any, resume_at: Any) -> Any:
    """After which iteration a run continues: as the names of its files say, where no point in it is given."""
    place = Path(str(resume_from))
    if match := CHECKPOINT.fullmatch(place.name if resume_at is None else str(resume_at)):
        return int(match[1])
    saved = checkpoints(place) if resume_at is None else []
    return saved[0][0] if saved else resume_at


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # OmegaConf 2.4 calls it `register_resolver`, which is another function in 2.3
    # How many batches the training set, of 1,797 digits less the validation set, makes: known before data is loaded.
    OmegaConf.register_new_resolver(
        "digits_epoch_length",
        lambda val_fraction, batch_size: math.ceil((1797 - math.ceil(1797 * val_fraction)) / max(batch_size, 1)),
        replace=True,
    )
    # The end of a branch that lasts so many epochs, from a point in epochs on: "9ep" and 3 give 12.
    OmegaConf.register_new_resolver(
        "digits_epochs_after", lambda point, count: int(str(point).removesuffix("ep")) + count, replace=True
    )
    # The point in a run from which another one continues, as a preview can read it.
    OmegaConf.register_new_resolver("digits_point", point, replace=True)
