"""Layer decay as timm declares it: groups of one rate, each with an ``lr_scale`` that multiplies what is scheduled."""

import pytest
import torch
from helpers import timm_schedulers

import cosched
from cosched import CosineAnnealingScheduler, TorchScheduler

SCALES = (0.5, 0.75, 1.0)
FIELDS = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", "relative": True}
FIELDS |= {"start_value": 1, "cycle_size": 10}


def optimizer(lr=0.2, **more):
    """What ``timm.optim.param_groups_layer_decay`` gives: groups with a scale, and the optimizer's rate for all."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in SCALES]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, **more)


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("lr", [0.25, torch.tensor(0.25, dtype=torch.float64)])
def test_a_relative_rate_is_multiplied_by_the_scale(lr):
    driven = optimizer(lr)
    scheduler = CosineAnnealingScheduler(driven, "lr", 1.0, 0.5, 10, relative=True)
    for i in range(20):
        scheduler(None)
        assert rates(driven) == [0.25 * scale * scheduler.schedule(i) for scale in SCALES]


def test_an_absolute_rate_is_not():
    driven = optimizer()
    CosineAnnealingScheduler(driven, "lr", 1.0, 0.5, 10)(None)
    assert rates(driven) == [1.0, 1.0, 1.0]


def test_other_numbers_are_not():
    driven = optimizer()
    CosineAnnealingScheduler(driven, "momentum", 1.0, 0.5, 10, relative=True)(None)
    assert [group["momentum"] for group in driven.param_groups] == [0.9, 0.9, 0.9]


def test_a_scale_of_0_freezes_a_group():
    driven = optimizer()
    driven.param_groups[0]["lr_scale"] = 0.0
    CosineAnnealingScheduler(driven, "lr", 1.0, 0.5, 10, relative=True)(None)
    assert rates(driven) == [0.0, 0.2 * 0.75, 0.2]


def test_the_scale_is_not_applied_twice_after_a_checkpoint():
    schedule = {**FIELDS, "end_value": 0.5}
    first = TorchScheduler(optimizer(), schedule)
    first.optimizer.step()
    first.step()
    again = optimizer()
    again.load_state_dict(first.optimizer.state_dict())
    resumed = TorchScheduler(again, schedule)
    resumed.load_state_dict(first.state_dict())
    curve = cosched.CosineAnnealing(start_value=1, end_value=0.5, cycle_size=10)
    assert rates(again) == rates(first.optimizer) == [0.2 * scale * curve(1) for scale in SCALES]


def test_a_value_that_its_group_cannot_take_is_refused():
    node = {"_target_": "cosched.ConstantScheduler", "param_name": "lr", "value": 1.0, "relative": True}
    driven = optimizer()
    driven.param_groups[1]["lr_scale"] = -1.0
    with pytest.raises(cosched.ConfigError, match=r"lr is -0.2"):
        TorchScheduler(driven, node)


@pytest.mark.loops
def test_timm_gives_the_same_rates():
    theirs, ours = optimizer(), optimizer()
    oracle = timm_schedulers().CosineLRScheduler(theirs, t_initial=10, cycle_limit=3, cycle_decay=0.5)
    node = {**FIELDS, "end_value": 0, "start_value_mult": 0.5}
    scheduler = TorchScheduler(ours, node)
    for update in range(1, 30):
        ours.step()
        scheduler.step()
        oracle.step(update)
        assert rates(ours) == pytest.approx(rates(theirs), rel=1e-12)
