"""Small versions of ignite's own examples, on random data: with our schedulers in place of theirs nothing changes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver, LRScheduler, PiecewiseLinear
from ignite.metrics import Accuracy, RunningAverage
from omegaconf import OmegaConf
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

import cosched

LENGTH, EPOCHS = 10, 4  # iterations of an epoch, and epochs
EVERY, CRASH = 7, 25  # iterations between two checkpoints, and the one after which a run dies


def loader(*shapes):
    """Batches of two, of random inputs and of labels."""
    inputs = [torch.randn(2 * LENGTH, *shape) for shape in shapes]
    return DataLoader(TensorDataset(*inputs, torch.randint(3, (2 * LENGTH,))), batch_size=2, shuffle=True)


# The examples: a trainer, its model, its optimizer and its data


def cifar10():
    """A step with a scaler for mixed precision, whose losses are averaged."""
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4, momentum=0.9, weight_decay=1e-4, nesterov=True)
    scaler, criterion = torch.amp.GradScaler(enabled=False), nn.CrossEntropyLoss()

    def step(engine, batch):
        loss = criterion(model(batch[0]), batch[1])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return {"batch loss": loss.item()}

    trainer = Engine(step)
    RunningAverage(output_transform=lambda output: output["batch loss"]).attach(trainer, "batch loss")
    return trainer, model, optimizer, loader((3, 8, 8))


def transformers():
    """Gradients of two batches for one step."""
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(32, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)

    def step(engine, batch):
        loss = nn.functional.cross_entropy(model(batch[0]), batch[1]) / 2
        loss.backward()
        if engine.state.iteration % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    return Engine(step), model, optimizer, loader((4, 8))


def siamese():
    """Triplets, and an evaluator that runs after each epoch."""
    model = nn.Linear(8, 4)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    criterion, evaluator = nn.TripletMarginLoss(margin=2.8), Engine(lambda engine, batch: model(batch[0]))

    def step(engine, batch):
        optimizer.zero_grad()
        loss = criterion(*map(model, batch[:3]))
        loss.backward()
        optimizer.step()
        return loss

    trainer, data = Engine(step), loader((8,), (8,), (8,))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(data))
    return trainer, model, optimizer, data


def mnist_save_resume():
    """A deterministic engine, and an evaluator with a metric."""
    model = nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(dim=-1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    trainer, data = create_supervised_trainer(model, optimizer, nn.NLLLoss(), deterministic=True), loader((8,))
    evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy()})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(data))
    return trainer, model, optimizer, data


# Their schedules: as ignite's example makes it, as our scheduler in its place, and declared. Each is what is saved.


def stepped_by_epoch(trainer, optimizer):
    scheduler = StepLR(optimizer, 1, gamma=0.5)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler.step())
    return scheduler


def added(make, trainer, optimizer):
    scheduler = make(optimizer)
    trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
    return scheduler


def declared(config, trainer, optimizer):
    return cosched.attach(trainer, OmegaConf.create(config), optimizer)


def lines(kind, points, optimizer):
    return kind(optimizer, "lr", points)


class Example(NamedTuple):
    make: Callable
    theirs: Callable
    ours: Callable
    declared: str


WARMED = [(0, 0.0), (LENGTH, 0.4), (EPOCHS * LENGTH, 0.0)]
FALLING = [(0, 0.0), (0, 5e-5), (EPOCHS * LENGTH, 0.0)]  # a warm-up of no epochs
EXAMPLES = {
    "cifar10": Example(
        cifar10,
        partial(added, partial(lines, PiecewiseLinear, WARMED)),
        partial(added, partial(lines, cosched.PiecewiseLinearScheduler, WARMED)),
        "{_target_: cosched.PiecewiseLinearScheduler, milestones: [[0, 0], [1ep, 0.4], [4ep, 0]]}",
    ),
    "transformers": Example(
        transformers,
        partial(added, partial(lines, PiecewiseLinear, FALLING)),
        partial(added, partial(lines, cosched.PiecewiseLinearScheduler, FALLING[1:])),
        "{_target_: cosched.PolynomialAnnealingScheduler, start_value: 5e-5, end_value: 0, cycle_size: 100%}",
    ),
    "siamese": Example(
        siamese,
        partial(added, lambda o: LRScheduler(StepLR(o, 15, gamma=0.95))),
        partial(added, lambda o: cosched.StepDecayScheduler(o, "lr", 1, gamma=0.95, every=15)),
        "{_target_: cosched.StepDecayScheduler, start_value: 1, gamma: 0.95, every: 15it}",
    ),
    "mnist_save_resume": Example(
        mnist_save_resume,
        stepped_by_epoch,
        partial(added, lambda o: cosched.StepDecayScheduler(o, "lr", 0.01, gamma=0.5, every="1ep")),
        "{_target_: cosched.StepDecayScheduler, start_value: 0.01, gamma: 0.5, every: 1, event: EPOCH_STARTED}",
    ),
}
WAYS = ("theirs", "ours", "declared")


def run(name, way, folder, crash=None, resume=None, without=()):
    """The rate at each iteration of an example that may die and may go on from a checkpoint, and the final weights."""
    torch.manual_seed(0)
    trainer, model, optimizer, data = EXAMPLES[name].make()
    schedule = getattr(EXAMPLES[name], way)
    if way == "declared":
        schedule = partial(declared, {**OmegaConf.create(schedule), "param_name": "lr"})
    seen = []
    scheduler = schedule(trainer, optimizer)
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: seen.append(optimizer.param_groups[0]["lr"]))
    objects = {"trainer": trainer, "model": model, "optimizer": optimizer, "lr_scheduler": scheduler}
    saver = Checkpoint(objects, DiskSaver(str(folder), require_empty=False), n_saved=None)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=EVERY), saver)
    if crash is not None:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=crash), lambda: 1 / 0)
    if resume is not None:
        wanted = {key: one for key, one in objects.items() if key not in without}
        deterministic = name == "mnist_save_resume"  # which saves NumPy's random state
        Checkpoint.load_objects(wanted, torch.load(resume, weights_only=not deterministic))
    try:
        trainer.run(data, max_epochs=EPOCHS)
    except ZeroDivisionError:
        assert crash is not None
    return seen, torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.mark.parametrize("name", EXAMPLES)
def test_rates_are_equal_at_every_iteration(name, tmp_path):
    (expected, weights), *ours = [run(name, way, tmp_path / way) for way in WAYS]
    assert len(expected) == LENGTH * EPOCHS
    assert len({*expected}) > 2
    for rates, ours_weights in ours:
        np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-18)
        torch.testing.assert_close(ours_weights, weights)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS[1:])
@pytest.mark.parametrize("name", EXAMPLES)
def test_they_are_equal_where_a_run_dies_and_goes_on(name, way, tmp_path):
    expected, _ = run(name, "theirs", tmp_path / "whole")
    died, _ = run(name, way, tmp_path, crash=CRASH)
    saved = CRASH // EVERY * EVERY
    resumed, _ = run(name, way, tmp_path / "again", resume=tmp_path / f"checkpoint_{saved}.pt")
    np.testing.assert_allclose(died, expected[:CRASH], rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(resumed, expected[saved:], rtol=1e-12, atol=1e-18)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way", "without"),
    [
        ("cifar10", "ours", ()),
        ("transformers", "ours", ()),
        *((name, "declared", ("lr_scheduler",)) for name in EXAMPLES),  # the clock is the engine's
    ],
)
def test_a_run_of_theirs_goes_on_in_ours(name, way, without, tmp_path):
    expected, _ = run(name, "theirs", tmp_path)
    resumed, _ = run(name, way, tmp_path / "again", resume=tmp_path / "checkpoint_21.pt", without=without)
    np.testing.assert_allclose(resumed, expected[21:], rtol=1e-12, atol=1e-18)
