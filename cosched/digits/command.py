"""The main job's command, ``cosched-train`` or ``python -m cosched.digits.command``; ``--help`` shows its config."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import cosched.digits.resolver  # which the config uses
import cosched.digits.settings  # noqa: F401  # and which types it
from cosched import hints, require
from cosched.digits.folder import discard, tell


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Train as ``cfg`` says, write the results into Hydra's run folder and return the validation accuracy."""
    # Only now: what composes a config, or refuses to, need not wait for torch.
    if cfg.distributed.nproc_per_node is None:
        from cosched.digits.training import train
    else:
        from cosched.digits.ranks import train
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        accuracy = train(cfg, folder)
    finally:
        discard(folder)  # where it has been refused, for a run has put this in its place
    written = [folder] if HydraConfig.get().mode is RunMode.MULTIRUN else sorted(folder.iterdir())
    tell("\n".join(f"  {os.path.relpath(path)}" for path in written))
    return accuracy


def cli() -> None:
    """Run `main`, with a hint where Hydra refuses a field that a scheduler does not have."""
    try:
        require("cosched-train", "train", "matplotlib", "rich", "sklearn", "tqdm")
    except ModuleNotFoundError as error:
        sys.exit(str(error))
    for override in sys.argv[1:]:  # at these Hydra fails, with a traceback
        if match := re.fullmatch(r"((?:model|optimizer|scheduler)(?:@[\w.]+)?)=(.*,)?null(,.*)?", override):
            print(f"{override}: leave an option out with ~{match[1]}", file=sys.stderr)
            sys.exit(1)
    logging.raiseExceptions = False  # where nobody reads the console any more, as after `| head`
    try:
        with hints():
            main()
    except KeyboardInterrupt as stop:
        sys.exit(128 + getattr(stop, "number", signal.SIGINT))  # as a shell says it, without a traceback


if __name__ == "__main__":
    cli()
