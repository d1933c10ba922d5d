"""Tokens and samples as units: every loop knows how many of them an iteration has, by argument and by config."""

import dataclasses
import re

import pytest
import torch
from helpers import composed
from hydra.utils import instantiate
from ignite.engine import Engine
from omegaconf import OmegaConf

import cosched
from cosched import BoundScheduler, ConfigError, CosineAnnealing, ScheduleCallback, TorchScheduler
from cosched.binding.checkpoint import run_from_plain
from cosched.schedules.durations import Run
from cosched.sweeps.curves import evaluate

NODE = {
    "_target_": "cosched.CosineAnnealingScheduler",
    "param_name": "lr",
    "start_value": 0.1,
    "end_value": 0,
    "cycle_size": "40ktok",
    "warmup_duration": "300sample",
}
DATA = {"tokens_per_iteration": 4096, "batch_size": 32}
EVENTS = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=9, warmup_duration=9)


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)


def by_attach(node, **data):
    optimizer, seen = sgd(), []
    engine = Engine(lambda *_: seen.append(optimizer.param_groups[0]["lr"]))
    cosched.attach(engine, node, optimizer, **data)
    engine.run(range(10), max_epochs=4)
    return seen


def by_torch(node, **data):
    optimizer, seen = sgd(), []
    scheduler = TorchScheduler(optimizer, node, **data)
    for _ in range(40):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def by_object(node, **data):
    config = OmegaConf.to_object(cosched.config.schemas.typed(node))
    return config.resolve(**data).values(range(40)).tolist()


def by_instantiate(node, **data):
    bound = instantiate(node, optimizer=sgd())
    engine, seen = Engine(lambda *_: seen.append(bound.target.read()[0])), []
    cosched.attach(engine, bound, **data)
    engine.run(range(10), max_epochs=4)
    return seen


WAYS = [by_attach, by_torch, by_object, by_instantiate]


@pytest.mark.parametrize("way", WAYS)
def test_what_an_iteration_has_is_an_argument_or_a_field(way):
    expected = EVENTS.values(range(40)).tolist()
    assert way(NODE, **DATA) == expected
    assert way({**NODE, **DATA}) == expected
    assert way({**NODE, **DATA, "tokens_per_iteration": 10}, tokens_per_iteration=4096) == expected, (
        "the argument holds"
    )


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_known_is_asked_for(way):
    message = (
        r"cycle_size='40ktok' needs the number of tokens in an iteration, but epoch_length=.*: give the run a "
        r"tokens_per_iteration, as a field of the scheduler or where it is attached, or declare iterations, as in"
    )
    with pytest.raises(ValueError, match=message):
        way(NODE, batch_size=32)
    with pytest.raises(
        ValueError, match=r"warmup_duration='300sample' needs the number of samples .* run a batch_size"
    ):
        way(NODE, tokens_per_iteration=4096)


@pytest.mark.parametrize("way", [by_attach, by_torch, by_object])
@pytest.mark.parametrize("wrong", [0, -3, 2**60])
def test_what_is_not_a_count_is_refused(way, wrong):
    with pytest.raises(ValueError, match=rf"batch_size={wrong} must be a whole number"):
        way({**NODE, "batch_size": wrong}, tokens_per_iteration=4096)


def test_an_argument_that_is_not_a_count_is_refused_where_it_is_given():
    for refused in (0, 2.5, True, "4k"):
        message = re.escape(f"tokens_per_iteration={refused!r} must be a whole number of at least 1")
        for give in (
            lambda given: cosched.attach(Engine(lambda *_: None), NODE, sgd(), tokens_per_iteration=given),
            lambda given: TorchScheduler(sgd(), NODE, tokens_per_iteration=given),
            lambda given: EVENTS.resolve(tokens_per_iteration=given),
            lambda given: BoundScheduler(sgd(), EVENTS, tokens_per_iteration=given),
        ):
            with pytest.raises(ValueError, match=message):
                give(refused)


def test_the_field_may_be_an_interpolation():
    config = composed(
        "scheduler.cycle_size=2ksample", "scheduler.batch_size=${trainer.batch_size}", "scheduler.cycle_mult=1"
    )
    curves, errors = evaluate(config, epochs=3, epoch_length=15)
    assert errors == {}
    assert curves[0].schedule.cycle_size == 2000 // 96
    config.scheduler.batch_size = None
    assert "needs the number of samples in an iteration" in evaluate(config, epochs=3, epoch_length=15)[1]["scheduler"]


def test_epochs_as_events_are_counted_from_the_data_in_them():
    node = {**NODE, "event": "EPOCH_STARTED", "cycle_size": "1Mtok", "warmup_duration": 0}
    scheduler = TorchScheduler(sgd(), {"lr": node}, epoch_length=10, tokens_per_iteration=4096)
    assert scheduler.parts["lr"].schedule.cycle_size == 24, "of 40,960 tokens each; the part of an epoch is cut off"
    with pytest.raises(
        ValueError, match=r"'1Mtok' needs the number of iterations in an epoch, .* epoch_length, or decl"
    ):
        OmegaConf.to_object(cosched.config.schemas.typed(node)).resolve(max_epochs=30, tokens_per_iteration=4096)


def test_another_number_of_tokens_is_another_schedule_to_a_checkpoint():
    before = TorchScheduler(sgd(), NODE, **DATA)
    state = before.state_dict()
    TorchScheduler(sgd(), NODE, **DATA).load_state_dict(state)
    with pytest.raises(
        ConfigError, match=r"tokens_per_iteration=2048.*tokens_per_iteration=4096.*cycle_size is 9 .* 19"
    ):
        TorchScheduler(sgd(), NODE, **{**DATA, "tokens_per_iteration": 2048}).load_state_dict(state)


def test_a_checkpoint_from_before_there_were_units_of_data_is_read():
    state = TorchScheduler(sgd(), EVENTS, epoch_length=10, max_epochs=4).state_dict()
    run = state["schedulers"]["lr"]["run"]
    for name in DATA:
        del run[name]
    assert run_from_plain(run) == Run(epoch_length=10, max_epochs=4)
    TorchScheduler(sgd(), EVENTS, epoch_length=10, max_epochs=4).load_state_dict(state)
    assert {f.name for f in dataclasses.fields(Run)} > {*run}
    del run["span"]
    with pytest.raises(ValueError, match=r"run=.* must be None or hold"):
        run_from_plain(run)


@pytest.mark.loops
@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning")
def test_lightning_counts_the_data_of_an_update(tmp_path):
    from lightning_helpers import lightning, loader, trainer

    seen = {}
    for batches in (1, 2):
        callback = ScheduleCallback(NODE, tokens_per_iteration=4096 * batches, batch_size=32 * batches)
        module = lightning().Module()
        trainer(tmp_path, callback, max_epochs=4, accumulate_grad_batches=batches).fit(module, loader())
        seen[batches] = [groups[0]["lr"] for _, groups in module.seen[0]]
    assert seen[1] == EVENTS.values(range(20)).tolist()
    twice = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=4, warmup_duration=4)
    assert seen[2] == twice.values(range(12)).tolist(), (
        "an update of two batches has twice as much, and comes half as often"
    )
