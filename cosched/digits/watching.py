"""What there is to see of a run while it goes on: the progress bar, the lines of ``train.log``, a tracker's curves."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ignite
import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm  # type: ignore[import-untyped]

import cosched
from cosched import ConfigError, Run, require
from cosched.digits.history import History
from cosched.digits.settings import Logger

log = logging.getLogger(__name__)  # what it says as INFO is for train.log alone


def done(iterations: int, epoch_length: int) -> str:
    """How much of a run is done, in words: in epochs, and where they are not whole, in iterations."""
    epochs = iterations / epoch_length
    if not epochs.is_integer():
        return f"{iterations} iterations ({epochs:.3g} epochs)"
    return f"{epochs:.0f} epoch{'' if epochs == 1 else 's'}"


def refuse_tracker(which: Logger | None) -> None:
    """Refuse a tracker that is not installed.

    Raises:
        ConfigError: the message says how to install it.
    """
    needed = {Logger.tensorboard: ["tensorboard"], Logger.mlflow: ["mlflow", "sqlalchemy"], None: []}
    try:
        require(f"logger={which and which.name}", str(which and which.name), *needed[which])
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error


def introduced(cfg: DictConfig, run_id: str | None, run: Run, schedulers: Mapping[str, Any], device: Any) -> str:
    """What a run is, for its log."""
    ranks = idist.get_world_size()
    curves = [f"{name} by {type(one).__name__}" for name, one in schedulers.items()]
    return (
        f"run {run_id}: {done(cfg.trainer.max_epochs, 1)} of {run.epoch_length} iterations on {device}, "
        f"{ranks} process{'' if ranks == 1 else 'es'}, loop={cfg.loop.name}, seed {cfg.trainer.seed}, "
        f"{', '.join(curves) or 'no schedule'}; cosched {cosched.__version__}, torch {torch.__version__}, "
        f"ignite {ignite.__version__}"
    )


@contextmanager
def progress(trainer: Engine, history: History, run: Run) -> Iterator[None]:
    """Show a bar over the iterations, with the first scheduled value, loss and accuracy; only in a terminal."""
    layout = "{desc} |{bar}| {elapsed}<{remaining}{postfix}"
    length, epochs = run.epoch_length or 1, run.max_epochs

    def current() -> str:
        return f"epoch {max(1, math.ceil(trainer.state.iteration / length))}/{epochs}"

    bar = tqdm(
        desc=current(),
        total=run.num_events,
        initial=trainer.state.iteration,
        bar_format=layout,
        disable=None,  # where it is no terminal
        dynamic_ncols=True,
    )

    def show(trainer: Engine) -> None:
        name, value = next(iter(history.last().items()), ("", 0.0))
        shown = {name: value} if name else {}
        shown["loss"] = float(trainer.state.output or 0)
        if "val_accuracy" in trainer.state.metrics:
            shown["accuracy"] = trainer.state.metrics["val_accuracy"]
        bar.set_description_str(current(), refresh=False)
        bar.set_postfix(shown, refresh=False)
        bar.update()

    with bar:
        if not bar.disable:
            trainer.add_event_handler(Events.ITERATION_COMPLETED, show)
        yield


def keep_log(trainer: Engine, history: History) -> None:
    """Add a line to ``train.log`` after each epoch."""

    @trainer.on(Events.EPOCH_COMPLETED)
    def line(trainer: Engine) -> None:
        state = trainer.state
        values = history.last() | {"train_loss": float(state.output or 0)} | state.metrics
        text = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        log.info("epoch %s of %s, iteration %s: %s", state.epoch, state.max_epochs, state.iteration, text)


@contextmanager
def track(
    trainer: Engine, history: History, which: Logger, folder: Path, run: str | None, cfg: DictConfig
) -> Iterator[None]:
    """Log scheduled values, loss and what is validated for a tracker, by ignite's own handlers, until the run ends.

    The steps are iterations. TensorBoard has each of them, in the folder ``tensorboard`` of the run. MLflow, where a
    write takes longer than an iteration, has the last of each epoch, in the store that ``MLFLOW_TRACKING_URI`` names,
    or else in its own default. A run that goes on in its folder goes on there, too.
    """
    done = trainer.state.iteration
    opened: Any
    if which is Logger.tensorboard:
        from ignite.handlers.tensorboard_logger import TensorboardLogger

        opened = TensorboardLogger(log_dir=str(folder / "tensorboard"), purge_step=done + 1 if done else None)
        often = Events.ITERATION_COMPLETED
    else:
        opened = _mlflow_run(folder, run, cfg)
        often = Events.EPOCH_COMPLETED

    def step(*_: Any) -> int:
        return trainer.state.iteration

    def named(loss: float) -> dict[str, float]:  # MLflow does not take parentheses
        values = {name.replace(" (", "/").replace(")", ""): value for name, value in history.last().items()}
        return values | {"train_loss": loss}

    with opened as tracker:
        tracker.attach_output_handler(
            trainer, event_name=often, tag="run", output_transform=named, global_step_transform=step
        )
        tracker.attach_output_handler(
            trainer,
            event_name=Events.EPOCH_COMPLETED,
            tag="run",
            metric_names=["val_accuracy", "val_loss"],
            global_step_transform=step,
        )
        yield


@contextmanager
def _mlflow_run(folder: Path, run: str | None, cfg: DictConfig) -> Iterator[Any]:
    """A logger to the run of MLflow's, which is told how ours ends."""
    import mlflow
    from ignite.handlers.mlflow_logger import MLflowLogger

    found = mlflow.search_runs(filter_string=f"tags.`cosched.run` = '{run}'", output_format="list")
    if found:
        mlflow.start_run(run_id=found[0].info.run_id)
    else:
        mlflow.start_run(run_name=str(folder), tags={"cosched.run": str(run)})
    status = "FAILED"
    try:
        tracker = MLflowLogger()
        if not found:
            tracker.log_params(_flat(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)))
        yield tracker
        status = "FINISHED"
    except KeyboardInterrupt:  # a signal has stopped it
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {key: one for name, inner in node.items() for key, one in _flat(inner, f"{path}.{name}".lstrip(".")).items()}
