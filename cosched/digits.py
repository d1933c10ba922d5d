"""The main job: train a small network on the 1,797 handwritten digits that scikit-learn ships, all by config."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
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


def train(cfg: DictConfig, folder: Path) -> float:
    """Train as ``cfg`` says, write the results into ``folder`` and return the validation accuracy."""
    manual_seed(cfg.trainer.seed)
    device = torch.device(cfg.trainer.device if cfg.trainer.device != "auto" else idist.device())
    train_set, val_set = build(cfg, "data")()
    train_loader = DataLoader(train_set, cfg.trainer.batch_size, shuffle=True)
    val_loader = DataLoader(val_set, 1024)
    model = build(cfg, "model")().to(device)
    optimizer = build(cfg, "optimizer")(param_groups(model, cfg.param_groups))

    trainer = create_supervised_trainer(model, optimizer, nn.functional.cross_entropy, device)
    bound = attach(trainer, cfg.get("scheduler"), optimizer)
    schedulers = by_name(bound)
    evaluator = create_supervised_evaluator(
        model, {"val_accuracy": Accuracy(), "val_loss": Loss(nn.functional.cross_entropy)}, device
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


def param_groups(model: nn.Module, declared: DictConfig | None) -> Any:
    """The model's parameters, or one group a submodule with options of its own, as ``declared``; none is left out."""
    if declared is None:
        return model.parameters()
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
    """Write a row an iteration with what the optimizer then holds, and return those values, a list a scheduler."""
    writer = csv.writer(file)
    writer.writerow(["iteration", "epoch", *schedulers, "train_loss"])
    applied: Curves = {name: [] for name in schedulers}

    @trainer.on(Events.ITERATION_COMPLETED)
    def write(trainer: Engine) -> None:
        state = trainer.state
        held = [float(s.optimizer_param_groups[0][s.param_name]) for s in schedulers.values()]
        for values, value in zip(applied.values(), held, strict=True):
            values.append(value)
        writer.writerow([state.iteration, state.epoch, *held, state.output])

    return applied


def declared_values(scheduler: BoundScheduler, iterations: int, epoch_length: int) -> list[float]:
    """The value that the schedule has for each of the first ``iterations`` iterations."""
    epochs = scheduler.event.value == Event.EPOCH_STARTED.value
    values: list[float] = scheduler.schedule.values(np.arange(iterations) // (epoch_length if epochs else 1)).tolist()
    return values
