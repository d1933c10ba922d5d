"""What a scheduler saves, and what it accepts: its own state, ignite's, and nothing else."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from helpers import random_parameters
from ignite.engine import Engine
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import (
    ConfigError,
    CosineAnnealing,
    CosineAnnealingScheduler,
    LinearCyclicalScheduler,
    PolynomialAnnealingScheduler,
    SqrtAnnealingScheduler,
)

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4, "cycle_mult": 2.0}


def cosine(sgd, **fields):
    return CosineAnnealingScheduler(sgd, "lr", **{**FIELDS, **fields})


def after(scheduler, calls):
    for _ in range(calls):
        scheduler(None)
    return scheduler


def test_a_state_is_small_plain_data(sgd, tmp_path):
    scheduler = after(cosine(sgd, warmup_duration="0ep"), 0)
    state = scheduler.state_dict()
    assert json.loads(json.dumps(state)) == state
    assert len(json.dumps(state)) < 1000
    torch.save(state, tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == state
    assert state["schedule"] == {
        **{"type": "cosine_annealing", "start_value_mult": 1.0, "end_value_mult": 1.0, "warmup_duration": "0ep"},
        **{"num_cycles": None, "endpoint": False, "amplitude_mult": 1.0, "amplitude_decay": 1.0, **FIELDS},
        **{"startpoint": True, "k_decay": 1.0, "power": 1.0},
    }


# Another schedule


@pytest.mark.parametrize(
    ("fields", "differing"),
    [
        ({"cycle_mult": 3}, "cycle_mult is 2.0 there and 3.0 here"),
        (
            {"cycle_size": "4ep", "end_value": 0.2},
            "end_value is 0.1 there and 0.2 here; cycle_size is 4 there and '4ep'",
        ),
        ({"relative": True}, "relative is False there and True here"),
        ({"event": "epoch_started"}, "event is 'iteration_started' there and 'epoch_started' here"),
        ({"param_group_index": 1}, "param_group_index is None there and 1 here"),
    ],
)
def test_a_changed_config_is_told_and_chosen(sgd, fields, differing):
    saved = after(cosine(sgd), 5).state_dict()
    scheduler = cosine(sgd, **fields)
    before = scheduler.state_dict()
    with pytest.raises(
        ConfigError, match=f"another schedule: {differing}.*on_mismatch=config .*on_mismatch=checkpoint"
    ):
        scheduler.load_state_dict(saved)
    assert scheduler.state_dict() == before
    chosen = cosine(sgd, on_mismatch="config", **fields)
    chosen.load_state_dict(saved)
    assert (chosen.event_index, chosen.schedule) == (5, scheduler.schedule)


def test_the_checkpoints_schedule_can_be_kept(sgd):
    saved = after(cosine(sgd), 5).state_dict()
    scheduler = cosine(sgd, cycle_size=7, on_mismatch="checkpoint")
    scheduler.load_state_dict(saved)
    assert scheduler.schedule == CosineAnnealing(**FIELDS)
    assert scheduler.get_param() == CosineAnnealing(**FIELDS)(5)
    assert scheduler.state_dict() == saved
    linear = LinearCyclicalScheduler(sgd, "lr", 1, 0, 4, on_mismatch="checkpoint")
    linear.load_state_dict(saved)
    assert linear.schedule == CosineAnnealing(**FIELDS)
    other = cosine(sgd, cycle_size=7, relative=True, on_mismatch="checkpoint")
    with pytest.raises(ConfigError, match="is about the schedule alone, but relative is False there and True here"):
        other.load_state_dict(saved)


def test_another_shape_is_another_schedule(sgd):
    saved = LinearCyclicalScheduler(sgd, "lr", **FIELDS).state_dict()
    with pytest.raises(ConfigError, match="schedule is 'linear_cyclical' there and 'cosine_annealing' here"):
        cosine(sgd).load_state_dict(saved)


def test_a_choice_is_one_of_four(sgd):
    with pytest.raises(ValueError, match="on_mismatch='ignore' must be one of error, config, checkpoint, branch"):
        cosine(sgd, on_mismatch="ignore")


def test_histories_are_for_the_config_to_decide(sgd):
    saved = cosine(sgd, save_history=True).state_dict()
    by_hand, attached = cosine(sgd), cosine(sgd)
    attached.attach(Engine(lambda *_: None))
    for scheduler in (by_hand, attached):
        scheduler.load_state_dict(saved)
    assert (by_hand.save_history, attached.save_history) == (True, False)


# Malformed states

OWN = {
    "event_index": [-1, 1.0, True, None, "3", math.nan, 2**60],
    "save_history": [None, 1, "yes"],
    "param_name": ["momentum", None, 3, math.nan],
    "param_group_index": [0, "0", math.nan],
    "param_group": ["x", 3],
    "relative": [True, None],
    "event": ["epoch_started", "nothing", None],
    "schedule": [
        None,
        {},
        [],
        "cosine",
        {"type": "nothing"},
        {"type": "cosine_annealing"},
        {"type": "CosineAnnealing"},
    ],
    "run": [3, {}, {"epoch_length": 3}, {"per_epoch": None, "epoch_length": "a", "max_epochs": 1, "max_iters": 1}],
}
SCHEDULE = {
    "type": ["linear_cyclical", None, 3],
    "start_value": [math.nan, math.inf, "1", None, 0.5],
    "cycle_size": [1, -4, 4.5, None, "4", math.nan, [4]],
    "cycle_mult": [0, -1, math.nan, None],
    "num_cycles": [0, 1.5],
    "endpoint": ["yes"],
    "junk": [1],
}


@pytest.mark.filterwarnings("ignore:cycle_mult")
@pytest.mark.parametrize("policy", ["error", "config", "checkpoint", "branch"])
def test_a_malformed_state_changes_nothing(sgd, policy):
    good = after(cosine(sgd), 5).state_dict()
    malformed = [{**good, key: value} for key, values in OWN.items() for value in values]
    malformed += [{**good, "schedule": {**good["schedule"], k: v}} for k, vs in SCHEDULE.items() for v in vs]
    kept = good.keys() - {"save_history"}  # which only ignite's loop has
    malformed += [{k: v for k, v in good.items() if k != key} for key in kept]
    malformed += [{**good, "schedule": {k: v for k, v in good["schedule"].items() if k != key}} for key in FIELDS]
    malformed += [None, [], 3, {}, {1: 2}]
    raised = 0
    for state in malformed:
        scheduler = cosine(sgd, on_mismatch=policy)
        before = scheduler.state_dict(), scheduler.get_param()
        try:
            scheduler.load_state_dict(state)
        except (TypeError, ValueError):
            raised += 1
            assert (scheduler.state_dict(), scheduler.get_param()) == before
        else:
            assert policy != "error", state
            assert math.isfinite(scheduler.get_param())
    assert raised == len(malformed) if policy == "error" else raised > 40


# ignite's states


@pytest.mark.filterwarnings("ignore:cycle_mult")
def test_200_runs_of_ignites_schedulers_go_on_in_ours():
    rng = np.random.default_rng(4)
    for _ in range(200):
        name, fields = random_parameters(rng)
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        theirs = getattr(ignite, f"{name}Scheduler")(optimizer, "lr", **fields)
        stopped = int(rng.integers(0, 400))
        after(theirs, stopped)
        # Whether a line goes up and down or only down, ignite does not save.
        policy = "config" if fields.get("monotonic") else "error"
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        ours = getattr(cosched, f"{name}Scheduler")(optimizer, "lr", **fields, on_mismatch=policy)
        ours.load_state_dict(theirs.state_dict())
        assert ours.event_index == stopped
        values = []
        for scheduler in (theirs, ours):
            values.append([])
            for _ in range(100):
                scheduler(None)
                values[-1].append(scheduler.optimizer.param_groups[0]["lr"])
        np.testing.assert_allclose(values[1], values[0], rtol=1e-12, atol=0, err_msg=str((name, fields, stopped)))


def ignites(sgd, calls=9, **fields):
    return after(ignite.CosineAnnealingScheduler(sgd, "lr", **{**FIELDS, **fields}), calls).state_dict()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cycle_size": 5}, "cycle_size is 8 there and 10 here, in cycle 2"),
        ({"cycle_mult": 1}, "cycle_size is 8 there and 4 here, in cycle 2; cycle_mult is 2"),
        ({"start_value": 2}, "start_value is 1.0 there and 2.0 here"),
        ({"end_value_mult": 0.5}, "end_value_mult is 1.0 there and 0.5 here"),
        ({"warmup_duration": 2}, "warmup_duration is 0 there and 4 here"),
        ({"endpoint": True}, "endpoint is not in the state of ignite's schedulers, and True here"),
    ],
)
def test_another_schedule_of_ignites_is_told(sgd, fields, message):
    scheduler = cosine(sgd, **fields)
    with pytest.raises(ConfigError, match=f"ignite's scheduler may have had another schedule: .*{message}"):
        scheduler.load_state_dict(ignites(sgd))
    assert scheduler.event_index == 0
    with pytest.raises(ConfigError, match="ignite does not save what it began with"):
        cosine(sgd, on_mismatch="checkpoint", **fields).load_state_dict(ignites(sgd))
    cosine(sgd, on_mismatch="config", **fields).load_state_dict(ignites(sgd))


@pytest.mark.parametrize(
    "change",
    [
        *({"event_index": value} for value in (-1, 99, 1.5, math.nan, None)),
        *({"cycle": value} for value in (-1, 1.5, None, 2**50)),
        *({"start_value": value} for value in (math.nan, "1", None, math.inf)),
        *({"cycle_size": value} for value in (math.nan, "8", None)),
        *({"param_name": value} for value in ("momentum", None)),
        {"param_group_index": 1},
        {"warmup_duration": "2"},
    ],
)
@pytest.mark.parametrize("policy", ["error", "checkpoint"])
def test_a_malformed_state_of_ignites_changes_nothing(sgd, change, policy):
    scheduler = cosine(sgd, on_mismatch=policy)
    with pytest.raises(ValueError, match=next(iter(change))):
        scheduler.load_state_dict({**ignites(sgd), **change})
    assert scheduler.event_index == 0


def test_an_ignite_state_needs_events(sgd):
    with pytest.raises(ValueError, match="cycle_size='4ep' is not a number of events until the run is known"):
        cosine(sgd, cycle_size="4ep").load_state_dict(ignites(sgd))


@pytest.mark.parametrize(
    ("scheduler", "fields", "message"),
    [
        (
            LinearCyclicalScheduler,
            {"monotonic": True},
            "monotonic is not in the state of ignite's schedulers, and True",
        ),
        (PolynomialAnnealingScheduler, {"power": 3}, "power is not in the state of ignite's schedulers, and 3.0 here"),
        (SqrtAnnealingScheduler, {}, "the schedule is 'sqrt_annealing' here, a shape that ignite does not have"),
    ],
)
def test_what_ignite_does_not_save_is_a_choice(sgd, scheduler, fields, message):
    with pytest.raises(ConfigError, match=f"{message}.*Choose: on_mismatch=config"):
        scheduler(sgd, "lr", **FIELDS, **fields).load_state_dict(ignites(sgd))
    chosen = scheduler(sgd, "lr", **FIELDS, **fields, on_mismatch="config")
    chosen.load_state_dict(ignites(sgd))
    assert chosen.event_index == 9


@pytest.mark.parametrize("cycle_mult", [1 + 1e-7, 1 - 1e-7])
def test_a_cycle_after_more_events_than_can_be_counted_is_refused_at_once(sgd, cycle_mult):
    long = {"cycle_size": 10**7, "cycle_mult": cycle_mult}
    state = {**ignites(sgd, calls=0, **long), "cycle": 2**50}
    scheduler = cosine(sgd, **long)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"cycle=1125899906842624 in state_dict|event_index=[0-9]+ in state_dict"):
        scheduler.load_state_dict(state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7, "a table of all cycles before that one needs gigabytes"


def test_a_cycle_whose_values_have_overflowed_is_told(sgd):
    fields = {"cycle_mult": 1, "start_value_mult": 2}
    with pytest.raises(ConfigError, match=r"start_value is 1.0 there and inf here, in cycle 1099511627777"):
        cosine(sgd, **fields).load_state_dict({**ignites(sgd, calls=0, **fields), "cycle": 2**40})
