"""A plain loop of torch, for ``loop=torch``."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from cosched import TorchScheduler


def run(
    trainer: Engine,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: TorchScheduler,
    batches: DataLoader[tuple[Tensor, ...]],
    max_epochs: int,
    device: torch.device,
) -> None:
    """Train to the end of ``max_epochs``, from the iteration of ``trainer`` on, which does not run itself.

    It is a plain loop, but ``trainer.state`` is its clock, and it tells ``trainer`` of the events. So evaluation,
    history and checkpoints are the same as in ignite's loop.

    Raises:
        ConfigError: the run that is continued had other durations.
    """
    state, last = trainer.state, max_epochs * len(batches)
    state.epoch_length, state.max_epochs = len(batches), max_epochs
    if state.iteration:  # the schedulers are those of a checkpoint: go to its position
        position: dict[str, Any] = {"last_epoch": state.iteration, "_step_count": state.iteration + 1}
        scheduler.load_state_dict(scheduler.state_dict() | position)
    trainer.fire_event(Events.STARTED)
    done = False
    while not done:
        state.epoch += 1
        trainer.fire_event(Events.EPOCH_STARTED)
        for images, labels in batches:
            state.iteration += 1
            trainer.fire_event(Events.ITERATION_STARTED)
            model.train()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            state.output = loss.item()  # type: ignore[assignment]
            # Before the next values are applied, and after the last iteration none are: history and checkpoints have
            # those of their iteration.
            trainer.fire_event(Events.ITERATION_COMPLETED)
            done = bool(trainer.should_terminate) or state.iteration == last
            if done:
                break
            scheduler.step()
        if not trainer.should_terminate:
            trainer.fire_event(Events.EPOCH_COMPLETED)
    trainer.fire_event(Events.COMPLETED)
