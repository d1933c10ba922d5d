"""Branches of a run under each loop: killed and resumed, of a branch too, in iterations and epochs, always exactly."""

import contextlib

import pytest
import torch
from ignite.engine import Engine, Events
from lightning_helpers import MARKS, lightning, loader, trainer
from omegaconf import OmegaConf
from strategies import cosine, linear

import cosched
from cosched import ConfigError, ScheduleCallback, TorchScheduler

LENGTH = 10  # iterations of an epoch


class KilledError(Exception):
    """The process has ended."""


def read(optimizer):
    return optimizer.param_groups[0]["lr"]


def made():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)


def by_ignite(config, epochs, state, until, folder):
    optimizer = made()
    engine = Engine(lambda *_: seen.append(read(optimizer)))
    seen, saved = [], {}

    @engine.on(Events.ITERATION_COMPLETED)
    def _():
        if engine.state.iteration == until:
            saved.update(engine=engine.state_dict(), scheduler=scheduler.state_dict())
            raise KilledError

    scheduler = cosched.attach(engine, OmegaConf.create(config), optimizer)
    if state:
        scheduler.load_state_dict(state["scheduler"])
        engine.load_state_dict(state["engine"])
    with contextlib.suppress(KilledError):
        engine.run(range(LENGTH), max_epochs=epochs)
    return seen, saved


def by_torch(config, epochs, state, until, folder):
    optimizer, seen = made(), []
    scheduler = TorchScheduler(optimizer, OmegaConf.create(config), epoch_length=LENGTH, max_epochs=epochs)
    if state:
        scheduler.load_state_dict(state)
    for _ in range(scheduler.last_epoch, until or LENGTH * epochs):
        seen.append(read(optimizer))
        optimizer.step()
        scheduler.step()
    return seen, scheduler.state_dict()


def by_lightning(config, epochs, state, until, folder):
    class Killer(lightning().Callback):
        """Ends with the update after which the checkpoint was written."""

        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == until:
                raise KilledError

    whole, part = divmod(until or 0, LENGTH)
    when = {"every_n_train_steps": until} if part else {"every_n_epochs": whole or 99, "save_on_train_epoch_end": True}
    every = lightning().callbacks.ModelCheckpoint(dirpath=folder, filename="{step}", save_top_k=-1, **when)
    module = lightning().Module()
    callbacks = [ScheduleCallback(OmegaConf.create(config)), every, Killer()]
    fit = trainer(folder, *callbacks, enable_checkpointing=True, max_epochs=epochs)
    with contextlib.suppress(KilledError):
        fit.fit(module, loader(LENGTH), ckpt_path=state)
    return module.held("lr"), folder / f"step={until}.ckpt"


LOOPS = [
    pytest.param(by_ignite, id="ignite"),
    pytest.param(by_torch, id="torch"),
    pytest.param(
        by_lightning, id="lightning", marks=[*MARKS, pytest.mark.filterwarnings("ignore:Checkpoint directory")]
    ),
]
loops = pytest.mark.parametrize("loop", LOOPS)

TRUNK = """
_target_: cosched.PhasesScheduler
param_name: lr
phases:
  warmup: {_target_: cosched.Phase, shape: polynomial_annealing, start_value: 0, end_value: 1, duration: 10%}
  stable: {_target_: cosched.Phase, shape: constant, duration: 20%}
  decay: {_target_: cosched.Phase, shape: cosine_annealing, end_value: 0}
"""
BRANCH = """
_target_: cosched.PhasesScheduler
param_name: lr
on_mismatch: branch
phases:
  decay: {_target_: cosched.Phase, shape: polynomial_annealing, end_value: 0.125, duration: 50%}
  hold: {_target_: cosched.Phase, shape: constant}
"""
AGAIN = """
_target_: cosched.CosineAnnealingScheduler
param_name: lr
on_mismatch: branch
start_value: null
end_value: 1
cycle_size: 100%
"""


@loops
@pytest.mark.parametrize(
    ("first", "then", "second", "last"),
    [(47, 62, 97, 103), (50, 70, 100, 110)],
    ids=["within epochs", "between epochs"],
)
def test_branches_of_branches_are_killed_and_resumed(loop, first, then, second, last, tmp_path):
    down = cosine(1, 0, 70)
    trunk = [*linear(0, 1, 10).values(range(10)), *[1] * 20, *down.values(range(first - 30))]
    left = (120 - first) // 2
    branch = [*linear(down(first - 30), 0.125, left).values(range(left)), *[0.125] * (second - first - left)]
    again = [*cosine(0.125, 1, 150 - second).values(range(150 - second))]
    expected = [*trunk, *branch, *again]

    seen, state = loop(TRUNK, 10, None, first, tmp_path)
    assert seen == trunk
    for killed in (then, second):
        values, state = loop(BRANCH, 12, state, killed, tmp_path)
        seen += values
        assert seen == expected[:killed]
    for killed in (last, None):
        values, state = loop(AGAIN, 15, state, killed, tmp_path)
        seen += values
        assert seen == expected[:killed]
    assert len(seen) == 150


@loops
@pytest.mark.parametrize(("first", "second"), [(47, 74), (50, 70)], ids=["within epochs", "between epochs"])
def test_a_branch_that_counts_epochs_begins_with_the_next_one(loop, first, second, tmp_path):
    line = {"_target_": "cosched.PolynomialAnnealingScheduler", "param_name": "lr", "event": "EPOCH_STARTED"}
    trunk = {**line, "start_value": 1, "end_value": 0, "cycle_size": "100%"}
    branch = {**line, "start_value": None, "end_value": 0.25, "cycle_size": "100%", "on_mismatch": "branch"}
    values = [*linear(1, 0, 10).values(range(5)), *linear(0.5, 0.25, 7).values(range(7))]
    expected = [value for value in values for _ in range(LENGTH)]
    seen, state = loop(trunk, 10, None, first, tmp_path)
    assert seen == expected[:first]
    for killed in (second, 80, None):
        more, state = loop(branch, 12, state, killed, tmp_path)
        seen += more
        assert seen == expected[:killed]


@loops
def test_a_run_that_has_ended_is_extended(loop, tmp_path):
    config = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", "end_value": 0, "num_cycles": 1}
    seen, state = loop({**config, "start_value": 1, "cycle_size": "100%"}, 3, None, 30, tmp_path)
    warm = {**config, "start_value": 0.5, "cycle_size": 15, "on_mismatch": "branch"}
    more, _ = loop(warm, 5, state, None, tmp_path)
    assert seen + more == [*cosine(1, 0, 30).values(range(30)), *cosine(0.5, 0, 15).values(range(20))]


@loops
def test_without_a_checkpoint_a_branch_is_refused(loop, tmp_path):
    with pytest.raises(
        ValueError, match=r"start_value is missing, and nothing comes before it|begins where a checkpoint"
    ):
        loop(AGAIN, 10, None, None, tmp_path)


def test_a_torch_scheduler_leaves_the_optimizer_alone_until_the_checkpoint_is_loaded():
    optimizer = made()
    scheduler = TorchScheduler(optimizer, OmegaConf.create(AGAIN), epoch_length=LENGTH, max_epochs=10)
    assert read(optimizer) == 0.5
    optimizer.step()
    with pytest.raises(
        ValueError, match=r"start_value is missing, and nothing comes before it .* a checkpoint is loaded"
    ):
        scheduler.step()


@pytest.mark.parametrize("first", ["engine", "scheduler"])
@pytest.mark.parametrize("attached", [False, True])
def test_under_ignite_the_order_of_loading_does_not_matter(first, attached):
    _, state = by_ignite(TRUNK, 10, None, 47, None)
    optimizer = made()
    engine = Engine(lambda *_: seen.append(read(optimizer)))
    seen = []
    scheduler = cosched.CosineAnnealingScheduler(optimizer, "lr", 0.25, 0, "100%", on_mismatch="branch")
    if attached:
        scheduler.attach(engine)
    for key in (first, *({"engine", "scheduler"} - {first})):
        {"engine": engine, "scheduler": scheduler}[key].load_state_dict(state[key])
    if not attached:
        scheduler.attach(engine)
    engine.run(range(LENGTH), max_epochs=12)
    assert seen == cosine(0.25, 0, 73).values(range(73)).tolist()


def test_a_filtered_event_branches_at_the_clock():
    def run(config, state, until=None):
        optimizer, saved, seen = made(), {}, []
        engine = Engine(lambda *_: seen.append(read(optimizer)))
        scheduler = cosched.attach(engine, config, optimizer, event=Events.ITERATION_STARTED(every=4))
        if state:
            engine.load_state_dict(state["engine"])
            scheduler.load_state_dict(state["scheduler"])

        @engine.on(Events.ITERATION_COMPLETED)
        def _():
            if engine.state.iteration == until:
                saved.update(engine=engine.state_dict(), scheduler=scheduler.state_dict())
                raise KilledError

        with contextlib.suppress(KilledError):
            engine.run(range(LENGTH), max_epochs=3)
        return seen, saved

    line = {"_target_": "cosched.PolynomialAnnealingScheduler", "param_name": "lr"}
    trunk = {**line, "start_value": 1, "end_value": 0, "cycle_size": 100}
    _, state = run(trunk, None, 10)
    seen, _ = run({**line, "start_value": 0.5, "end_value": 0.25, "cycle_size": 20, "on_mismatch": "branch"}, state)
    down = linear(0.5, 0.25, 20)
    assert seen[:6] == [linear(1, 0, 100)(7), *[down(1)] * 4, down(5)], "the value that held, then the twelfth event's"


@loops
def test_another_schedule_is_refused(loop, tmp_path):
    _, state = loop(TRUNK, 10, None, 47, tmp_path)
    branch = BRANCH.replace("end_value: 0.125", "start_value: 1, end_value: 0.125")
    _, state = loop(branch, 12, state, 60, tmp_path)
    other = branch.replace("0.125", "0.25").replace("on_mismatch: branch", "")
    with pytest.raises(ConfigError, match=r"event 47: branch\.phases\.decay\.end_value is 0\.125 there and 0\.25 here"):
        loop(other, 12, state, None, tmp_path)
