"""The main job: train a small network on the 1,797 handwritten digits that scikit-learn ships, all by config."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver, EMAHandler
from ignite.handlers.tqdm_logger import ProgressBar
from ignite.metrics import Accuracy, Loss
from ignite.utils import manual_seed
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from cosched.config import Event
from cosched.engine import ConfigError, attach, factory, leaves
from cosched.plot import Curves, draw_applied
from cosched.schedulers import BoundScheduler
from cosched.targets import Group

ALLOWED = ("cosched.digits.", "torch.nn.", "torch.optim.")  # what the config of this job may call


def digits(val_fraction: float, seed: int) -> tuple[TensorDataset, TensorDataset]:
    """A training and a validation set, stratified by class: images (1, 8, 8) in [0, 1] and labels from 0 to 9."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(labels)
    train, val = train_test_split(torch.arange(len(labels)), test_size=val_fraction, stratify=labels, random_state=seed)
    return TensorDataset(images[train], labels[train]), TensorDataset(images[val], labels[val])


class ConvNet(nn.Module):
    """Two convolutions, ``base``, and a linear classifier, ``fc``; images (N, 1, 8, 8) to logits (N, 10)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.base = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.fc = nn.Linear(2 * channels * 16, 10)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.fc(self.base(images))
        return logits


class ResidualNet(nn.Module):
    """Many residual blocks of width 64, ``backbone``, and a linear classifier, ``head``; as `ConvNet` outside."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.backbone = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU()) for _ in range(blocks)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        features = images.flatten(1)
        for block in self.backbone:
            features = features + block(features)
        logits: Tensor = self.head(features)
        return logits


def layerwise(model: ResidualNet, lr: float, decay: float) -> list[Group]:
    """A parameter group a block and one for the head, named, whose learning rates decay with the distance from it."""
    modules = {f"backbone.{i}": block for i, block in enumerate(model.backbone)} | {"head": model.head}
    return [
        {"params": list(module.parameters()), "name": name, "lr": lr * decay ** (len(modules) - 1 - i)}
        for i, (name, module) in enumerate(modules.items())
    ]


def train(cfg: DictConfig, folder: Path) -> float:
    """Train as ``cfg`` says, write the results into ``folder`` and return the validation accuracy."""
    manual_seed(cfg.trainer.seed)
    device = torch.device(cfg.trainer.device if cfg.trainer.device != "auto" else idist.device())
    train_set, val_set = build(cfg, "data")()
    train_loader = DataLoader(train_set, cfg.trainer.batch_size, shuffle=True)
    val_loader = DataLoader(val_set, 1024)
    model = build(cfg, "model")().to(device)
    optimizer = build(cfg, "optimizer")(param_groups(model, cfg))

    trainer = create_supervised_trainer(model, optimizer, nn.functional.cross_entropy, device)
    evaluated = model
    if cfg.trainer.ema_momentum is not None:
        average = EMAHandler(model, cfg.trainer.ema_momentum)
        average.attach(trainer)
        evaluated = average.ema_model
    schedulers = by_name(attach(trainer, cfg.get("scheduler"), optimizer))
    evaluator = create_supervised_evaluator(
        evaluated, {"val_accuracy": Accuracy(), "val_loss": Loss(nn.functional.cross_entropy)}, device
    )

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(trainer: Engine) -> None:
        trainer.state.metrics = evaluator.run(val_loader).metrics

    state = {"trainer": trainer, "model": model, "optimizer": optimizer}
    state |= {f"scheduler {name}": scheduler for name, scheduler in schedulers.items()}
    checkpoint = Checkpoint(state, DiskSaver(str(folder), require_empty=False), n_saved=1)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint)
    if cfg.trainer.progress_bar:
        bar = ProgressBar(desc="epochs", bar_format=None)
        bar.attach(trainer, "all", event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED)

    started = time.perf_counter()
    with (folder / "history.csv").open("w", newline="") as file:
        applied = record(trainer, schedulers, file)
        trainer.run(train_loader, cfg.trainer.max_epochs)
    seconds = time.perf_counter() - started

    metrics: dict[str, Any] = {
        **trainer.state.metrics,
        "epochs": trainer.state.epoch,
        "iterations": trainer.state.iteration,
    }
    metrics |= {"train_loss": trainer.state.output, "seconds": round(seconds, 3), "device": str(device)}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    declared = {
        name: declared_values(one, metrics["iterations"], len(train_loader))
        for name, one in schedulers.items()
        if isinstance(one, BoundScheduler)
    }
    if declared:
        draw_applied(folder / "schedule.png", declared, applied, len(train_loader))
    print(f"validation accuracy {metrics['val_accuracy']:.4f} after {metrics['epochs']} epochs in {seconds:.1f} s")
    for path in sorted(folder.iterdir()):
        print(f"  {os.path.relpath(path)}")
    return float(metrics["val_accuracy"])


def build(cfg: DictConfig, key: str) -> Callable[..., Any]:
    """What the ``_target_`` of the node ``key`` makes of the rest of it."""
    node = OmegaConf.to_container(cfg[key], resolve=True, throw_on_missing=True)
    try:
        return factory(cast("dict[str, Any]", node), ALLOWED)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error


def by_name(bound: Any) -> dict[str, Any]:
    """The schedulers that `attach` returned, by their keys or else by the parameters that they drive."""
    named = [(name or scheduler.param_name, scheduler) for name, scheduler in leaves(bound)]
    if len(dict(named)) < len(named):
        names = ", ".join(name for name, _ in named)
        raise ConfigError(f"scheduler: {names} would share a column: declare them in a mapping, whose keys name them")
    return dict(named)


def param_groups(model: nn.Module, cfg: DictConfig) -> Any:
    """The model's parameters in one group, in the groups that a ``_target_`` makes, or in one a declared submodule."""
    declared = cfg.param_groups
    if declared is None:
        return model.parameters()
    if "_target_" in declared:
        return build(cfg, "param_groups")(model)
    groups = [
        {"params": list(model.get_submodule(str(name)).parameters()), "name": name, **options}
        for name, options in declared.items()
    ]
    missing = {id(p) for p in model.parameters()} - {id(p) for group in groups for p in group["params"]}
    if missing:
        names = [name for name, p in model.named_parameters() if id(p) in missing]
        raise ConfigError(f"param_groups={list(declared)} leaves out {', '.join(names)}: add their submodule")
    return groups


def record(trainer: Engine, schedulers: Mapping[str, Any], file: TextIO) -> Curves:
    """Write a row an iteration with what the optimizer then holds; return those values by scheduler.

    A scheduler has one column, as all its groups hold the same; a relative one has a column a group.
    """
    columns = [column for name, scheduler in schedulers.items() for column in _columns(name, scheduler)]
    writer = csv.writer(file)
    writer.writerow(["iteration", "epoch", *columns, "train_loss"])
    applied: Curves = {name: [] for name in schedulers}

    @trainer.on(Events.ITERATION_COMPLETED)
    def write(trainer: Engine) -> None:
        held = {name: _held(scheduler) for name, scheduler in schedulers.items()}
        for name, values in held.items():
            applied[name].append(values)
        state = trainer.state
        writer.writerow([state.iteration, state.epoch, *chain(*held.values()), state.output])

    return applied


def _columns(name: str, scheduler: Any) -> list[str]:
    if not getattr(scheduler, "relative", False):
        return [name]
    return [f"{name} ({group.get('name', i)})" for i, group in enumerate(scheduler.optimizer_param_groups)]


def _held(scheduler: Any) -> list[float]:
    if not isinstance(scheduler, BoundScheduler):
        return [float(scheduler.optimizer_param_groups[0][scheduler.param_name])]
    values = scheduler.target.read()
    return values if scheduler.relative else values[:1]


def declared_values(scheduler: BoundScheduler, iterations: int, epoch_length: int) -> list[list[float]]:
    """What the schedule declares for each of the first ``iterations`` iterations, in the columns of `record`."""
    epochs = scheduler.event.value == Event.EPOCH_STARTED.value
    values = scheduler.schedule.values(np.arange(iterations) // (epoch_length if epochs else 1)).tolist()
    return [scheduler.target.values(value) if scheduler.relative else [value] for value in values]
