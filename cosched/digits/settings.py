"""The types of what the main job's config holds; the values are in ``conf/config.yaml``, each with what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Loop(Enum):
    """Who trains."""

    ignite = "ignite"
    torch = "torch"


class Logger(Enum):
    """What else keeps a run's curves."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"


@dataclass
class TrainerSettings:
    """The node ``trainer``."""

    max_epochs: int = MISSING
    batch_size: int = MISSING
    epoch_length: int = MISSING
    seed: int = MISSING
    device: str = MISSING
    progress_bar: bool = MISSING
    checkpoint_every: int | str = MISSING
    ema_momentum: float | None = MISSING


@dataclass
class DistributedSettings:
    """The node ``distributed``."""

    nproc_per_node: int | None = MISSING
    backend: str | None = MISSING


@dataclass
class CoschedSettings:
    """The node ``cosched``."""

    resume_from: Any = MISSING
    resume_at: int | str | None = MISSING
    resume_points: Any = None


@dataclass
class Settings:
    """The whole config; what is `Any` here is open, as that of an optimizer, or has a schema of its own."""

    model: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    data: Any = MISSING
    param_groups: Any = MISSING
    loop: Loop = MISSING
    trainer: TrainerSettings = field(default_factory=TrainerSettings)  # OmegaConf cannot expand a missing one
    distributed: DistributedSettings = field(default_factory=DistributedSettings)
    resume_from: Any = MISSING
    resume_at: int | str | None = MISSING
    keep_checkpoints: Any = MISSING
    snapshots: bool = MISSING
    logger: Logger | None = MISSING
    cosched: CoschedSettings = field(default_factory=CoschedSettings)


ConfigStore.instance().store("settings", Settings, provider="cosched")
