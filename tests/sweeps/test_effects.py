"""What a config says beside its schedules: overrides that cannot matter, a learning rate that stays as it is."""

import pytest
from omegaconf import OmegaConf

from cosched.sweeps.curves import evaluate
from cosched.sweeps.effects import constant, idle, own_values

COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 0.1, "end_value": 0, "cycle_size": 5}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.5, "momentum": 0.9}


def config(**parts):
    made = OmegaConf.create({"scheduler": COSINE, "optimizer": SGD, **parts})
    return made, evaluate(made, 1, 20)[0]


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("optimizer.lr", {}),
        ("+optimizer.lr", {}),
        ("optim.lr", {"optimizer": None, "optim": {"name": "sgd", "lr": 1}}),
        ("opt.lr", {"optimizer": None, "opt": {"lr": 1}}),
        ("train.opt.lr", {"optimizer": None, "train": {"opt": SGD}}),
        ("optimizer.momentum", {"scheduler": {"m": {**COSINE, "param_name": "momentum"}, "lr": COSINE}}),
    ],
)
def test_what_a_schedule_sets_at_each_event_an_override_of_the_optimizer_cannot_change(key, parts):
    made, curves = config(**parts)
    (said,) = idle(made, [f"{key}=0.3", "seed=1"], curves).values()
    assert said.startswith(f"{key} has no effect: scheduler")
    assert said.endswith(f"sets {key.rpartition('.')[2]} at every iteration")


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("optimizer.momentum", {}),
        ("optimizer.lr", {"scheduler": {**COSINE, "relative": True}}),
        ("optimizer.lr", {"scheduler": {**COSINE, "param_group_index": 0}}),
        ("optimizer.lr", {"scheduler": {**COSINE, "param_group": "head"}}),
        ("optimizer.lr", {"scheduler": {**COSINE, "start_value": "${optimizer.lr}"}}),
        ("optimizer.lr", {"other": "${optimizer.lr}"}),
        ("optimizer.lr", {"other": "${optimizer}"}),
        ("optimizer.lr", {"second": {"_target_": "torch.optim.Adam", "lr": 1}}),
        ("model.lr", {"optimizer": None, "model": {"_target_": "my.Net", "lr": 1}}),
        ("lr", {"optimizer": None, "lr": 1}),
        ("scheduler.start_value", {}),
        ("optimizer.lr", {"scheduler": None}),
    ],
)
def test_nothing_is_said_of_what_may_matter(key, parts):
    made, curves = config(**parts)
    assert idle(made, [f"{key}=0.3"], curves) == {}


@pytest.mark.parametrize(
    ("schedule", "parts", "found"),
    [
        ({}, {}, {"optimizer": 0.1}),
        (
            {},
            {"param_groups": {"a": {"lr": 1}, "b": {"lr": "${optimizer.lr}"}}, "other": [[1], {"lr": 3}]},
            {"param_groups.a": 1, "param_groups.b": 0.1},
        ),
        ({"param_group": "h*"}, {"param_groups": {"head": {"lr": 1}, "b": {"lr": 2}}}, {"param_groups.head": 1}),
        (
            {"param_name": "momentum"},
            {"optimizer": {"_target_": "torch.optim.SGD", "momentum": 0.5}},
            {"optimizer": 0.5},
        ),
        ({"param_group_index": 0}, {}, None),
        ({"relative": False}, {}, None),
        ({}, {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0}}, None),
        ({}, {"optimizer": {"_target_": "torch.optim.SGD", "lr": "0.1"}}, None),
    ],
)
def test_what_a_relative_schedule_multiplies_is_read_where_it_is_declared(schedule, parts, found):
    optimizer = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}}
    made, curves = config(**{**optimizer, "scheduler": {**COSINE, "relative": True, **schedule}, **parts})
    assert own_values(made, curves) == ({} if found is None else {"scheduler": found})


def test_a_rate_that_no_schedule_drives_is_noted():
    momentum = {**COSINE, "param_name": "momentum"}
    assert constant(*config(scheduler=momentum)) == ["no schedule drives lr: it stays as the optimizer has it"]
    assert constant(*config()) == []
    assert constant(*config(scheduler={"a": momentum, "b": COSINE})) == []
    assert constant(*config(scheduler=None)) == []
    assert constant(*config(scheduler=momentum, other={"_target_": "torch.optim.lr_scheduler.StepLR"})) == []
