"""The resolvers that the main job's configs use: they have to be there in each process that reads them."""

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
    # The end of a branch that lasts so many epochs, from a point in epochs on: "9ep" and 3 give 12.
    OmegaConf.register_new_resolver(
        "digits_epochs_after", lambda point, count: int(str(point).removesuffix("ep")) + count, replace=True
    )
