"""The main job: train a small network on the 1,797 handwritten digits that scikit-learn ships, all by config."""

from __future__ import annotations

import csv
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.engine.deterministic import ReproducibleBatchSampler
from ignite.handlers import Checkpoint, DiskSaver, EMAHandler
from ignite.handlers.tqdm_logger import ProgressBar
from ignite.metrics import Accuracy, Loss
from ignite.utils import manual_seed
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from cosched import (
    Allowed,
    BoundScheduler,
    ConfigError,
    CycleEvents,
    Event,
    Group,
    Mismatch,
    Run,
    attach,
    build,
    draw_applied,
    leaves,
)

log = logging.getLogger(__name__)

ALLOWED = Allowed(
    kinds=(nn.Module, Optimizer),
    packages=("cosched.digits.", "torch.nn.", "torch.optim."),
    names=("cosched.digits.digits", "cosched.digits.layerwise"),
)


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
    train_set, val_set = built(cfg, "data")
    ranks, rank = idist.get_world_size(), idist.get_rank()
    sampler: DistributedSampler[Any] = DistributedSampler(train_set, ranks, rank, seed=cfg.trainer.seed)
    batches = ReproducibleBatchSampler(BatchSampler(sampler, cfg.trainer.batch_size // ranks, drop_last=False))
    train_loader = DataLoader(train_set, batch_sampler=batches)
    val_loader = DataLoader(val_set, 1024)
    model = built(cfg, "model").to(device)
    optimizer = built(cfg, "optimizer", param_groups(model, cfg))

    parallel = idist.auto_model(model) if ranks > 1 else model
    trainer = create_supervised_trainer(parallel, optimizer, nn.functional.cross_entropy, device)
    state = {"trainer": trainer, "model": model, "optimizer": optimizer}
    evaluated = model
    if cfg.trainer.ema_momentum is not None:
        average = EMAHandler(model, cfg.trainer.ema_momentum)
        average.attach(trainer)
        evaluated = state["average"] = average.ema_model
    schedulers = by_name(attach(trainer, cfg.get("scheduler"), optimizer))
    state |= {f"scheduler {name}": scheduler for name, scheduler in schedulers.items()}
    evaluator = create_supervised_evaluator(
        evaluated, {"val_accuracy": Accuracy(), "val_loss": Loss(nn.functional.cross_entropy)}, device
    )

    @trainer.on(Events.EPOCH_STARTED)
    def seed(trainer: Engine) -> None:
        # Anew in each epoch, so that one does not depend on whether those before it ran in this process.
        manual_seed(cfg.trainer.seed + trainer.state.epoch)
        sampler.set_epoch(trainer.state.epoch)

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(trainer: Engine) -> None:
        trainer.state.metrics = evaluator.run(val_loader).metrics

    earlier: list[dict[str, str]] = []
    if cfg.resume_from is not None:
        earlier = resume(Path(cfg.resume_from), state, schedulers)
        check_length(trainer, len(train_loader))
        batches.start_iteration = trainer.state.iteration % len(train_loader)
    idist.barrier()  # the files of the run that is continued are read: one rank may now write its own
    if cfg.trainer.progress_bar and rank == 0:
        bar = ProgressBar(desc="epochs", bar_format=None)
        bar.attach(trainer, "all", event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED)

    started = time.perf_counter()
    # By lines, so that a run that is killed leaves a row for each iteration up to its last checkpoint.
    with open(folder / "history.csv" if rank == 0 else os.devnull, "w", newline="", buffering=1) as file:  # noqa: PTH123
        applied = record(trainer, schedulers, file, earlier)
        save_checkpoints(cfg, trainer, state, folder, len(train_loader))  # after the row of the same iteration
        if trainer.state.iteration < cfg.trainer.max_epochs * len(train_loader):
            trainer.run(train_loader, cfg.trainer.max_epochs)
        else:
            log.warning("%s has done its %s epochs: only evaluating", cfg.resume_from, cfg.trainer.max_epochs)
            evaluate(trainer)
    seconds = time.perf_counter() - started

    if rank:
        return float(trainer.state.metrics["val_accuracy"])

    metrics: dict[str, Any] = {
        **trainer.state.metrics,
        "epochs": trainer.state.epoch,
        "iterations": trainer.state.iteration,
    }
    metrics |= {"train_loss": trainer.state.output, "seconds": round(seconds, 3), "device": str(device)}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    declared = {
        name: declared_values(one, range(metrics["iterations"] - len(applied[name]), metrics["iterations"]), trainer)
        for name, one in schedulers.items()
        if isinstance(one, BoundScheduler) and applied[name]
    }
    if declared:
        draw_applied(folder / "schedule.png", declared, applied, metrics["iterations"], len(train_loader))
    print(f"validation accuracy {metrics['val_accuracy']:.4f} after {metrics['epochs']} epochs in {seconds:.1f} s")
    for path in sorted(folder.iterdir()):
        print(f"  {os.path.relpath(path)}")
    return float(metrics["val_accuracy"])


def save_checkpoints(
    cfg: DictConfig, trainer: Engine, state: Mapping[str, Any], folder: Path, epoch_length: int
) -> None:
    """Save ``state`` regularly, the last two times kept, and if asked at the end of each cycle of a schedule."""
    disk = DiskSaver(str(folder), require_empty=False)  # writes a temporary file, then renames it
    run = Run(epoch_length=epoch_length, max_epochs=cfg.trainer.max_epochs)
    try:
        every = run.events("trainer.checkpoint_every", cfg.trainer.checkpoint_every, 1)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    checkpoint = Checkpoint(state, disk, n_saved=2)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=every) | Events.COMPLETED, checkpoint)
    if cfg.snapshots:
        if not any(isinstance(one, BoundScheduler) for one in state.values()):
            raise ConfigError("snapshots=true saves a checkpoint a cycle, but there is no scheduler that has cycles")
        snapshot = Checkpoint(state, disk, n_saved=None, filename_pattern="snapshot_{global_step}.{ext}")
        trainer.add_event_handler(CycleEvents.CYCLE_COMPLETED, snapshot)


def resume(path: Path, state: Mapping[str, Any], schedulers: Mapping[str, Any]) -> list[dict[str, str]]:
    """Load ``state`` from a checkpoint, or the last good one in a run's folder; return that run's history up to it."""
    file, checkpoint = last_checkpoint(path)
    others = state.keys() ^ checkpoint.keys()
    renamed = all(key.startswith("scheduler ") for key in others)
    if others and not (renamed and all(one.on_mismatch is Mismatch.config for one in schedulers.values())):
        raise ConfigError(
            f"{file} holds {', '.join(checkpoint)}, but this config makes {', '.join(state)}: use the config of that "
            "run, or for other schedulers on_mismatch=config in each"
        )
    for key in state.keys() & checkpoint.keys():
        try:
            state[key].load_state_dict(checkpoint[key])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"{file}: {key}: {error}") from error
    history = file.with_name("history.csv")
    if not history.exists():
        return []
    with history.open(newline="") as rows:
        whole = [row for row in csv.DictReader(rows) if None not in row.values()]
    return [row for row in whole if int(row["iteration"]) <= state["trainer"].state.iteration]


def last_checkpoint(path: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint ``path``, or that of the last iteration in a folder which can be read, and what it holds."""
    files = [path] if path.is_file() else list(path.glob("*_*.pt"))
    numbered = {file: int(file.stem.rpartition("_")[2]) for file in files if file.stem.rpartition("_")[2].isdigit()}
    for file in sorted(files, key=lambda file: numbered.get(file, -1), reverse=True):
        try:
            return file, torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # as many kinds as there are ways to damage a file
            log.warning("%s cannot be read: %s", file, str(error).partition("\n")[0])
    raise ConfigError(f"resume_from={path} holds no checkpoint that can be read: give one, or the folder of a run")


def check_length(trainer: Engine, epoch_length: int) -> None:
    """Refuse a checkpoint of a run with other epochs: the engine would silently go on with their length."""
    if trainer.state.epoch_length != epoch_length:
        raise ConfigError(
            f"the checkpoint's run has epochs of {trainer.state.epoch_length} iterations, this one has {epoch_length}: "
            "keep trainer.batch_size and data.val_fraction as they were"
        )


def built(cfg: DictConfig, key: str, *args: Any) -> Any:
    """What the ``_target_`` of the node ``key`` makes of ``args`` and the rest of it."""
    return build(cfg[key], ALLOWED, key, *args)


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
        return built(cfg, "param_groups", model)
    groups = [
        {"params": list(model.get_submodule(str(name)).parameters()), "name": name, **options}
        for name, options in declared.items()
    ]
    missing = {id(p) for p in model.parameters()} - {id(p) for group in groups for p in group["params"]}
    if missing:
        names = [name for name, p in model.named_parameters() if id(p) in missing]
        raise ConfigError(f"param_groups={list(declared)} leaves out {', '.join(names)}: add their submodule")
    return groups


def record(
    trainer: Engine, schedulers: Mapping[str, Any], file: TextIO, earlier: Sequence[Mapping[str, str]]
) -> Curves:
    """Write a row an iteration with what the optimizer then holds; return those values by scheduler.

    A scheduler has one column, as all its groups hold the same; a relative one has a column a group. ``earlier`` are
    the rows of a run that this one continues.
    """
    columns = {name: _columns(name, scheduler) for name, scheduler in schedulers.items()}
    writer = csv.writer(file)
    header = ["iteration", "epoch", *chain(*columns.values()), "train_loss"]
    writer.writerow(header)
    writer.writerows([row.get(column, "") for column in header] for row in earlier)
    applied: Curves = {
        name: [[float(row.get(column) or "nan") for column in own] for row in earlier] for name, own in columns.items()
    }

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


def declared_values(scheduler: BoundScheduler, iterations: range, trainer: Engine) -> list[list[float]]:
    """What the schedule declares for these iterations (from 0), in the columns of `record`."""
    epochs = scheduler.event.value == Event.EPOCH_STARTED.value
    values = scheduler.schedule.values(np.array(iterations) // (trainer.state.epoch_length if epochs else 1)).tolist()
    return [scheduler.target.values(value) if scheduler.relative else [value] for value in values]
