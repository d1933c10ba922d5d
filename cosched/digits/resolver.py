"""The resolver that the main job's config uses: it has to be there in each process that reads the config."""

from __future__ import annotations

import math
import warnings

from omegaconf import OmegaConf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # OmegaConf 2.4 calls it `register_resolver`, which is another function in 2.3
    # How many batches the training set, of 1,797 digits less the validation set, makes: known before data is loaded.
    OmegaConf.register_new_resolver(
        "digits_epoch_length",
        lambda val_fraction, batch_size: math.ceil((1797 - math.ceil(1797 * val_fraction)) / max(batch_size, 1)),
        replace=True,
    )
