"""States of ignite's schedulers without cycles: ours go on from them, or say why not."""

import math

import pytest
import torch
from ignite.handlers import param_scheduler as ignite

from cosched import ConfigError, CosineAnnealingScheduler, PiecewiseLinearScheduler

POINTS = [(3, 0.5), (10, 1.0), (30, 0.0)]


def after(scheduler, calls):
    for _ in range(calls):
        scheduler(None)
    return scheduler


def walk(scheduler, events):
    seen = []
    for _ in range(events):
        scheduler(None)
        seen.append(scheduler.optimizer.param_groups[0]["lr"])
    return seen


def lines(sgd, points=POINTS, **more):
    return PiecewiseLinearScheduler(sgd, "lr", points, **more)


@pytest.mark.parametrize("points", [POINTS, [(0, 0.0), (0, 0.25), *POINTS], [(0, 0.25), *POINTS[1:]]])
@pytest.mark.parametrize("stopped", [0, 1, 3, 10, 17, 30, 45])
def test_a_run_of_ignites_piecewise_linear_goes_on_in_ours(sgd, points, stopped):
    theirs = after(ignite.PiecewiseLinear(sgd, "lr", points), stopped)
    ours = lines(torch.optim.SGD([torch.zeros(1)], lr=1.0), points[points[1][0] == 0 :])
    ours.load_state_dict(theirs.state_dict())
    assert walk(ours, 20) == pytest.approx(walk(theirs, 20), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(3, 0.5), (10, 1.0), (31, 0.0)], r"milestones\[2\]\[0\] is 30 there and 31 here"),
        ([(3, 0.5), (10, 0.9), (30, 0.0)], r"milestones\[1\]\[1\] is 1.0 there and 0.9 here"),
        ([(3, 0.5), ("1ep", 1.0), (30, 0.0)], r"milestones\[1\]\[0\] is 10 there and '1ep' here"),
        ([(3, 0.5), (10, math.pi), (30, 0.0)], r"milestones\[1\]\[1\] is 1.0 there and 3.14\d+ here"),
        ([(3, 0.5), (10, 1.0)], r"milestones is \[.*\] there and \[.*\] here"),
    ],
)
def test_other_points_are_told_and_chosen(sgd, points, message):
    state = after(ignite.PiecewiseLinear(sgd, "lr", POINTS), 7).state_dict()
    with pytest.raises(ConfigError, match=f"ignite's scheduler may have had another schedule: {message}. Choose"):
        lines(sgd, points).load_state_dict(state)
    chosen = lines(sgd, points, on_mismatch="config")
    chosen.load_state_dict(state)
    assert chosen.event_index == 7


def test_another_shape_is_refused(sgd):
    state = ignite.PiecewiseLinear(sgd, "lr", POINTS).state_dict()
    with pytest.raises(ValueError, match="is of ignite's PiecewiseLinear, and this schedule a CosineAnnealing"):
        CosineAnnealingScheduler(sgd, "lr", 1, 0, 10, on_mismatch="config").load_state_dict(state)


@pytest.mark.parametrize(
    "change",
    [
        {"event_index": -1},
        {"milestones": 3},
        {"milestones": [3, 10]},
        {"milestones": [3, 10.5, 30]},
        {"milestones": [3, 10, 30, 40]},
        {"param_name": "momentum"},
    ],
)
def test_a_malformed_state_changes_nothing(sgd, change):
    scheduler = lines(sgd)
    state = after(ignite.PiecewiseLinear(sgd, "lr", POINTS), 7).state_dict()
    with pytest.raises(ValueError, match=next(iter(change))):
        scheduler.load_state_dict({**state, **change})
    assert scheduler.event_index == 0


def warmed(sgd):
    return ignite.create_lr_scheduler_with_warmup(ignite.CosineAnnealingScheduler(sgd, "lr", 1, 0, 10), 0, 5, 1)


@pytest.mark.parametrize("calls", [0, 1, 3, 4, 5, 9, 20])
def test_of_a_warm_up_only_the_position_is_known(sgd, calls):
    state = after(warmed(sgd), calls).state_dict()
    ours = CosineAnnealingScheduler(sgd, "lr", 1, 0, 10)
    with pytest.raises(
        ConfigError, match=r"ConcatScheduler, as create_lr_scheduler_with_warmup makes it, does not tell"
    ):
        ours.load_state_dict(state)
    chosen = CosineAnnealingScheduler(sgd, "lr", 1, 0, 10, on_mismatch="config")
    chosen.load_state_dict(state)
    assert chosen.event_index == calls


@pytest.mark.parametrize(
    "change",
    [
        {"durations": 3},
        {"durations": [-1]},
        {"_scheduler_index": 2},
        {"_scheduler_index": "0"},
        {"_current_duration": None},
        {"_current_duration": 2**60},
    ],
)
def test_a_malformed_state_of_it_changes_nothing(sgd, change):
    scheduler = CosineAnnealingScheduler(sgd, "lr", 1, 0, 10, on_mismatch="config")
    with pytest.raises(ValueError, match="in state_dict"):
        scheduler.load_state_dict({**after(warmed(sgd), 3).state_dict(), **change})
    assert scheduler.event_index == 0


def test_a_group_has_no_one_position(sgd):
    state = ignite.ParamGroupScheduler([lines(sgd), lines(sgd)]).state_dict()
    with pytest.raises(
        ValueError, match=r"ignite's ParamGroupScheduler.*: load the state of one part, or .* the engine"
    ):
        lines(sgd).load_state_dict(state)
