"""The main job on several processes of one machine, each of them a rank that trains on its share of the data."""

from __future__ import annotations

import gc
import json
import logging
import logging.config
import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from torch.multiprocessing.spawn import ProcessException

import cosched.digits.resolver  # noqa: F401  # which the config uses, in each rank too
from cosched import ConfigError
from cosched.digits.folder import tell
from cosched.digits.stopping import Stopped, listening

REFUSED = 1  # the exit status of a rank that has refused to run


class RankError(RuntimeError, CompactHydraException):
    """A rank has ended before the others; Hydra prints the message alone, without a traceback."""


def train(cfg: DictConfig, folder: Path) -> float:
    """What `cosched.digits.training.train` does, on ``distributed.nproc_per_node`` processes.

    Raises:
        ConfigError: the run is refused.
        RankError: a rank ended before the others, whatever the cause; those have been ended too.
    """
    count, backend = cfg.distributed.nproc_per_node, cfg.distributed.backend
    if count < 1:
        raise ConfigError(f"distributed.nproc_per_node={count} must be at least 1, or null for this process")
    if backend is None:
        backend = "nccl" if torch.cuda.device_count() >= count else "gloo"
    if backend not in idist.available_backends():
        here = ", ".join(idist.available_backends())
        raise ConfigError(f"distributed.backend={backend} is not one that torch has here: {here}")
    if cfg.trainer.batch_size % count:
        raise ConfigError(
            f"trainer.batch_size={cfg.trainer.batch_size} cannot be shared by distributed.nproc_per_node={count} "
            "processes: give a multiple of it"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stopped = 0
    typed: dict[str, Any] = {}  # what else a rank knows from Hydra
    if HydraConfig.initialized():
        keys = ("job", "job_logging", "overrides", "runtime")
        typed = {key: OmegaConf.to_container(getattr(HydraConfig.get(), key), resolve=True) for key in keys}

    def relay(number: int) -> None:
        nonlocal stopped
        for rank in multiprocessing.active_children():
            if stopped:  # by an earlier signal, and they are still there
                rank.kill()
            else:
                os.kill(rank.pid or 0, number)
        stopped = number

    try:
        with listening(relay):
            idist.spawn(backend, _rank, args=(cfg, folder, typed), nproc_per_node=count, master_port=port)
    except ProcessException as error:
        if stopped:
            raise Stopped(stopped) from None
        last = str(error).strip().splitlines()[-1]
        kind = ConfigError if getattr(error, "exit_code", None) == REFUSED else RankError
        raise kind(f"rank {error.error_index} of {count} has ended the run: {last}") from error
    if stopped:
        raise Stopped(stopped)
    return float(json.loads((folder / "metrics.json").read_text())["val_accuracy"])


def _rank(local_rank: int, cfg: DictConfig, folder: Path, typed: Mapping[str, Any] | None = None) -> None:
    from cosched.digits import training

    if local_rank:
        logging.disable(logging.WARNING)
    elif typed:
        logging.config.dictConfig(typed["job_logging"])
        HydraConfig.instance().cfg = OmegaConf.create({"hydra": typed})  # type: ignore[assignment]
    # With all threads each, the ranks hinder each other.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // cfg.distributed.nproc_per_node))
    if local_rank:
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123  # for as long as this process lives
    try:
        with suppress(Stopped):
            training.train(cfg, folder)
        gc.collect()  # the parallel model, which engine and handlers hold in a cycle, before the group that it talks in
        idist.barrier()
    except ConfigError as error:
        tell(str(error), sys.stderr)
        sys.exit(REFUSED)
