"""What an attached scheduler refuses or warns of when a run starts, before its first step."""

import warnings

import numpy as np
import pytest
import torch
from engine_helpers import FIELDS, Unknown, attached
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import ConfigError, CosineAnnealingScheduler, LinearCyclicalScheduler


def two(optimizer, engine, one=None, other=None, **fields):
    CosineAnnealingScheduler(optimizer, "lr", **{**FIELDS, **fields}, param_group_index=one).attach(engine, name="a")
    LinearCyclicalScheduler(optimizer, "lr", 1, 0, 4, param_group_index=other).attach(engine, name="b")


@pytest.mark.parametrize(("one", "other"), [(None, None), (None, 1), (1, -1)])
def test_a_number_driven_twice_is_refused(sgd, one, other):
    engine = Engine(lambda *_: None)
    two(sgd, engine, one, other)
    with pytest.raises(
        ConfigError,
        match=r"lr of group .* is driven twice, by CosineAnnealingScheduler 'a' on iteration_started and by "
        r"LinearCyclicalScheduler 'b' on iteration_started: remove one",
    ):
        engine.run(range(3))


def test_different_groups_parameters_and_engines_are_not(sgd):
    engine = Engine(lambda *_: None)
    two(sgd, engine, 0, 1)
    CosineAnnealingScheduler(sgd, "momentum", 0.9, 0.8, 4).attach(engine)
    engine.run(range(3))
    other = Engine(lambda *_: None)
    CosineAnnealingScheduler(sgd, "lr", 0.9, 0.8, 4).attach(other)
    other.run(range(3))


def test_one_attached_twice_is_refused(sgd):
    engine, scheduler = attached(sgd)
    scheduler.attach(engine, Events.EPOCH_STARTED, "again")
    with pytest.raises(ConfigError, match=r"twice, by .* 'lr' on iteration_started and by .* 'again' on epoch_started"):
        engine.run(range(3))


@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.EPOCH_COMPLETED, Events.ITERATION_STARTED(every=2)])
def test_so_is_one_that_is_added_beside(sgd, event):
    for handler in (
        ignite.LinearCyclicalScheduler(sgd, "lr", 1, 0, 4),
        ignite.ParamGroupScheduler([CosineAnnealingScheduler(sgd, "lr", 1, 0, 4, param_group_index=1)]),
        ignite.LRScheduler(torch.optim.lr_scheduler.StepLR(sgd, 3)),
    ):
        engine, scheduler = attached(sgd)
        engine.add_event_handler(event, handler)
        with pytest.raises(
            ConfigError, match=f"is driven twice, by .* and by {type(handler).__name__} on {event.value}"
        ):
            engine.run(range(3))
        assert engine.seen == []
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)


def test_what_comes_after_the_step_warns(sgd):
    for event in (Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED):
        with pytest.warns(UserWarning, match=f"lr: at {event.value} a value comes too late for the first step"):
            engine, _ = attached(sgd, event)
    engine.run(range(3), max_epochs=2)
    assert engine.seen[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("lr", {"end_value": -0.1, "endpoint": True}, r"^lr: lr is -0.1 at event 3: it must be finite and at least 0$"),
        ("momentum", {"end_value": 1.5, "start_value": 0.5, "cycle_mult": 1}, "momentum is 1 at event 2: .*below 1"),
        ("lr", {"start_value_mult": 1e60, "cycle_mult": 1}, "lr is inf at event 24: it must be finite"),
    ],
)
def test_the_whole_run_is_checked_before_the_first_iteration(sgd, name, fields, message):
    sgd.param_groups[0]["momentum"] = sgd.param_groups[1]["momentum"] = 0.5
    engine = Engine(lambda *_: pytest.fail("a step was made"))
    CosineAnnealingScheduler(sgd, name, **{**FIELDS, **fields}).attach(engine)
    with pytest.raises(ConfigError, match=message), np.errstate(all="ignore"):
        engine.run(range(10), max_epochs=10)


def test_the_first_bad_event_is_named(sgd):
    # 1 to -0.01 over 100 events: below 0 from the first event on at which the cosine is below the bound.
    engine, scheduler = attached(sgd, cycle_size=100, end_value=-0.01)
    first = int(np.argmax(scheduler.schedule.values(range(100)) < 0))
    with pytest.raises(ConfigError, match=f"at event {first}:"):
        engine.run(range(100))


def test_relative_values_are_checked_as_they_are_written(sgd):
    sgd.param_groups[1]["momentum"] = 0.5
    engine = Engine(lambda *_: None)
    CosineAnnealingScheduler(sgd, "momentum", 1, 1.2, 10, relative=True).attach(engine)
    with pytest.raises(
        ConfigError, match=r"momentum is 1\.\d+ at event 6: it must be finite and at least 0 and below 1"
    ):
        engine.run(range(10))


def test_an_attribute_of_the_engine_has_no_domain(sgd):
    engine = Engine(lambda *_: None)
    engine.state.lr = 1.0
    CosineAnnealingScheduler(cosched.EngineState(engine), "lr", -1, -2, 10).attach(engine)
    engine.run(range(10))


def test_cycles_that_shrink_away_within_the_run_warn(sgd):
    engine, _ = attached(sgd, cycle_size=8, cycle_mult=0.5)
    with pytest.warns(UserWarning, match="^lr: cycles shrink to nothing at event 14: the value holds from there"):
        engine.run(range(20))
    short, _ = attached(sgd, cycle_size=8, cycle_mult=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short.run(range(10))


def test_a_multiplier_without_effect_in_this_run_warns(sgd):
    engine, _ = attached(sgd, cycle_size="1ep", cycle_mult=1.05)
    with pytest.warns(UserWarning, match=r"cycle_mult=1\.05 has no effect from event 10 on"):
        engine.run(range(10))


def test_a_run_without_a_known_end_is_checked_too(sgd):
    engine, _ = attached(sgd, end_value=-1)
    with pytest.raises(ConfigError, match="lr is -"):
        engine.run(Unknown(), max_epochs=3)
