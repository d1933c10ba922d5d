"""`cosched.attach`: from config or bound schedulers to values in the optimizer, on the engine's clock."""

from dataclasses import dataclass

import pytest
import torch
from ignite.engine import Engine, Events
from omegaconf import OmegaConf

import cosched
from cosched.config.schemas import scheduler as config_of
from cosched.schedules.durations import Event

LR = config_of.cosine_annealing(start_value=1.0, end_value=0.1, cycle_size=4, cycle_mult=2, save_history=True)
MOMENTUM = config_of.linear_cyclical(
    start_value=0.95, end_value=0.85, cycle_size=6, param_name="momentum", save_history=True
)


def node(config=LR, **changes):
    return OmegaConf.merge(OmegaConf.structured(config), changes)


def plain(config=LR, **changes):
    return {**OmegaConf.to_container(OmegaConf.structured(config)), **changes}


def train(optimizer, attached, key="lr", length=8, **arguments):
    """The values of ``key`` in the first group during a run of three epochs, and what attach returned."""
    seen = []
    engine = Engine(lambda *_: seen.append(optimizer.param_groups[0][key]))
    bound = cosched.attach(engine, attached, optimizer, **arguments)
    engine.run(range(length), max_epochs=3)
    return seen, bound, engine


@pytest.mark.parametrize("make", [node, plain, lambda: LR])
def test_a_config_node_becomes_a_bound_scheduler(sgd, make):
    seen, bound, engine = train(sgd, make())
    assert isinstance(bound, cosched.CosineAnnealingScheduler)
    assert seen == LR.values(range(24)).tolist()
    assert engine.state.param_history == {"lr": [[value] * 2 for value in seen]}


def test_a_mapping_keeps_its_shape_and_names_the_histories(sgd):
    config = OmegaConf.create({"rate": node(), "others": {"beta": node(MOMENTUM), "off": None}})
    momenta, bound, engine = train(sgd, config, key="momentum")
    assert bound.keys() == {"rate", "others"}
    assert bound["others"]["off"] is None
    assert isinstance(bound["others"]["beta"], cosched.LinearCyclicalScheduler)
    assert momenta == MOMENTUM.values(range(24)).tolist()
    assert list(engine.state.param_history) == ["rate", "beta"]


@pytest.mark.parametrize("sequence", [list, tuple, OmegaConf.create])
def test_a_sequence_becomes_a_list(sgd, sequence):
    seen, bound, _ = train(sgd, sequence([node(), node(MOMENTUM)]))
    assert [type(one).__name__ for one in bound] == ["CosineAnnealingScheduler", "LinearCyclicalScheduler"]
    assert seen == LR.values(range(24)).tolist()


def test_a_node_may_interpolate_into_the_config_it_stands_in(sgd):
    config = OmegaConf.create({"length": 4, "deep": {"scheduler": node(cycle_size="${length}")}})
    assert train(sgd, config.deep.scheduler)[0] == LR.values(range(24)).tolist()


def test_bound_schedulers_need_no_optimizer(sgd):
    scheduler = cosched.CosineAnnealingScheduler(sgd, "lr", 1.0, 0.1, 4)
    engine = Engine(lambda *_: None)
    assert cosched.attach(engine, scheduler) is scheduler
    assert cosched.attach(engine, None) is None


def test_the_event_is_the_configs_or_the_callers(sgd):
    by_epoch = [value for value in LR.values(range(3)).tolist() for _ in range(8)]
    assert train(sgd, node(event=Event.EPOCH_STARTED))[0] == by_epoch
    assert train(sgd, node(event="EPOCH_STARTED"))[0] == by_epoch
    assert train(sgd, plain(event="epoch_started"))[0] == by_epoch
    assert train(sgd, node(), event=Events.EPOCH_STARTED)[0] == by_epoch
    assert train(sgd, node(), event=Event.EPOCH_STARTED)[0] == by_epoch


@pytest.mark.parametrize("event", [Event.ITERATION_STARTED, Event.EPOCH_STARTED])
def test_restoring_the_engine_alone_continues_the_curve(sgd, event):
    whole, _, _ = train(sgd, node(event=event))
    for stop in (8, 16):
        resumed = []
        engine = Engine(lambda *_, resumed=resumed: resumed.append(sgd.param_groups[0]["lr"]))
        cosched.attach(engine, node(event=event), sgd)
        engine.load_state_dict({"iteration": stop, "epoch_length": 8, "max_epochs": 3})
        engine.run(range(8))
        assert resumed == whole[stop:]


def test_an_optimizer_that_is_a_dataclass_is_not_taken_for_a_config():
    @dataclass
    class Wrapper:
        param_groups: list

    optimizer = Wrapper([{"lr": 0.5}])
    seen, bound, _ = train(optimizer, node())
    assert bound.optimizer is optimizer
    assert seen == LR.values(range(24)).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cycle_mlt": 2}, "has no field 'cycle_mlt': did you mean 'cycle_mult'"),
        ({"cycle_size": 0}, "cycle_size=0 must be a whole number of at least"),
        ({"start_value": float("nan")}, "start_value=nan is not finite"),
        ({"start_value": "${nowhere}"}, "Interpolation key 'nowhere' not found"),
        ({"param_name": "Ir"}, "param_name='Ir' names no number to schedule: did you mean 'lr'"),
        ({"param_group_index": 7}, "param_group_index=7 is out of range"),
        ({"event": "ITERATION"}, "event='ITERATION' has no clock"),
        ({"_target_": "cosched.nothing"}, "cosched.nothing"),
        ({"_target_": "cosched.schedules.remedies.did_you_mean"}, "would call cosched.schedules.remedies.did_you_mean"),
        ({"_target_": "cosched.loops.declared.leaves"}, "would call cosched.loops.declared.leaves, but a config may"),
    ],
)
def test_mistakes_name_the_key_and_leave_the_engine_alone(sgd, changes, message):
    engine = Engine(lambda *_: None)
    with pytest.raises(cosched.ConfigError, match=message) as error:
        cosched.attach(engine, {"good": plain(), "lr": plain(**changes)}, sgd)
    assert isinstance(error.value, ValueError)
    assert str(error.value).startswith("scheduler.lr: ")
    assert not engine.has_event_handler(Events.ITERATION_STARTED)
    assert not engine._event_handlers[Events.ITERATION_STARTED]


def test_a_value_left_open_is_named(sgd):
    with pytest.raises(cosched.ConfigError, match=r"^scheduler\[1\]: Missing mandatory value: start_value$"):
        train(sgd, [node(), OmegaConf.structured(config_of.cosine_annealing)])


@pytest.mark.parametrize("optimizer", [None, 3])
def test_a_config_needs_an_optimizer(optimizer):
    with pytest.raises(TypeError, match="scheduler is a config: give the optimizer"):
        cosched.attach(Engine(lambda *_: None), node(), optimizer)


@pytest.mark.parametrize("what", [3, "cosine", cosched.CosineAnnealing(start_value=1, end_value=0, cycle_size=4)])
def test_what_is_no_scheduler_is_a_type_error(sgd, what):
    with pytest.raises(TypeError, match=r"scheduler.lr=.* is not a scheduler: give a bound scheduler"):
        train(sgd, {"lr": what})


def test_allowed_code_must_give_a_scheduler(sgd):
    config = {"_target_": "torch.optim.swa_utils.SWALR", "swa_lr": 0.1}
    with pytest.raises(
        cosched.ConfigError, match=r"_target_=torch\.optim\.swa_utils\.SWALR gives a SWALR, which is not"
    ):
        train(sgd, config, allow=("torch.optim.swa_utils.SWALR",))


def test_the_package_offers_what_it_lists():
    for name in cosched.__all__:
        assert name in dir(cosched)
        assert getattr(cosched, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'CosineAnealing'"):
        cosched.CosineAnealing  # noqa: B018


def test_tensors_in_every_group_are_filled(sgd):
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": torch.tensor(0.5)} for _ in range(2)])
    kept = [group["lr"] for group in optimizer.param_groups]
    cosched.attach(Engine(lambda *_: None), node(), optimizer)(None)
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, kept, strict=True))
    assert [float(tensor) for tensor in kept] == [1.0, 1.0]
