"""Attached schedulers on the engine's clock: starts, durations, restores."""

from inspect import signature

import numpy as np
import pytest
import torch
from engine_helpers import CURVE, FIELDS, Unknown, attached, rate
from ignite.engine import Engine, Events

from cosched import ConfigError, CosineAnnealing, CosineAnnealingScheduler

# Durations


@pytest.mark.parametrize(
    ("declared", "event", "events"),
    [
        ("2ep", Events.ITERATION_STARTED, 18),
        ("25%", Events.ITERATION_STARTED, 9),
        ("18it", Events.EPOCH_STARTED, 2),
        (7, None, 7),
    ],
)
def test_units_are_resolved_when_the_engine_starts(sgd, declared, event, events):
    engine, scheduler = attached(sgd, event, cycle_size=declared)
    assert scheduler.schedule.cycle_size == declared
    engine.run(range(9), max_epochs=4)
    assert scheduler.schedule == CosineAnnealing(**{**FIELDS, "cycle_size": events})
    indices = np.arange(36) // (9 if event is Events.EPOCH_STARTED else 1)
    assert engine.seen == scheduler.schedule.values(indices).tolist()


@pytest.mark.parametrize("declared", ["10ep", "25%"])
def test_an_unknown_length_is_an_error_before_the_first_step(sgd, declared):
    engine, _ = attached(sgd, cycle_size=declared)
    with pytest.raises(ConfigError, match=f"^lr: cycle_size='{declared}' needs .* epoch_length=None, max_epochs=2"):
        engine.run(Unknown(), max_epochs=2)
    assert engine.seen == []


def test_iterations_need_no_length(sgd):
    engine, _ = attached(sgd, cycle_size="500it", cycle_mult=1)
    engine.run(Unknown(), max_epochs=2)
    assert engine.seen == CosineAnnealing(**{**FIELDS, "cycle_size": 500, "cycle_mult": 1}).values(range(18)).tolist()


@pytest.mark.skipif("max_iters" not in signature(Engine.run).parameters, reason="ignite has it since 0.5.5")
def test_a_run_that_ends_by_iterations_has_a_length(sgd):
    engine, scheduler = attached(sgd, cycle_size="50%")
    engine.run(Unknown(), max_iters=20)
    assert scheduler.schedule.cycle_size == 10


# Restoring


@pytest.mark.parametrize("stop", [6, 9, 13])
@pytest.mark.parametrize(
    "event",
    [
        Events.ITERATION_STARTED,
        Events.ITERATION_STARTED(every=4),
        Events.ITERATION_STARTED(event_filter=lambda engine, i: i in (1, 7, 20)),
        Events.EPOCH_STARTED,
        Events.EPOCH_STARTED(every=2),
    ],
)
def test_restoring_the_engine_alone_continues_the_curve(sgd, event, stop):
    whole, _ = attached(sgd, event)
    whole.run(range(9), max_epochs=5)
    fresh = torch.optim.SGD([torch.zeros(1)], lr=77.0)
    engine, _ = attached(fresh, event)
    engine.load_state_dict({"iteration": stop, "epoch_length": 9, "max_epochs": 3})
    engine.run(range(9), max_epochs=5)
    expected = whole.seen[stop:]
    assert engine.seen == [77.0 if value == 0.001 else value for value in expected], "0.001: before the first event"


def test_every_fourth_value_is_of_the_same_curve(sgd):
    engine, _ = attached(sgd, Events.ITERATION_STARTED(every=4))
    engine.run(range(10), max_epochs=4)
    assert engine.seen[3::4] == CURVE.values(range(3, 40, 4)).tolist()


def test_the_value_is_restored_when_the_run_starts(sgd):
    engine, _ = attached(sgd, Events.ITERATION_STARTED(every=4))
    at_start = []
    engine.add_event_handler(Events.STARTED, lambda: at_start.append(rate(sgd)))
    engine.load_state_dict({"iteration": 10, "epoch_length": 9, "max_epochs": 3})
    engine.run(range(9))
    assert at_start == [CURVE(7)], "the eighth iteration was the last that the filter let pass"


def test_it_starts_anew_with_the_engine(sgd):
    engine, _ = attached(sgd)
    engine.run(range(9), max_epochs=1)
    engine.run(range(9), max_epochs=1)
    assert engine.seen == CURVE.values(range(9)).tolist() * 2


@pytest.mark.parametrize("policy", ["error", "config", "checkpoint"])
def test_a_longer_run_does_not_silently_stretch_the_curve(sgd, policy):
    engine, scheduler = attached(sgd, cycle_size="50%", cycle_mult=1, on_mismatch=policy)
    engine.run(range(8), max_epochs=1)
    again, resumed = attached(sgd, cycle_size="50%", cycle_mult=1, on_mismatch=policy)
    again.load_state_dict(engine.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    if policy == "error":
        with pytest.raises(ConfigError, match=r"^lr: .*max_epochs=3.* cycle_size is 4 there and 12 here\. Choose: on_"):
            again.run(range(8), max_epochs=3)
        assert again.seen == []
        return
    again.run(range(8), max_epochs=3)
    size = 12 if policy == "config" else 4
    assert (
        again.seen == CosineAnnealing(**{**FIELDS, "cycle_size": size, "cycle_mult": 1}).values(range(8, 24)).tolist()
    )


def test_a_state_without_its_engine_is_refused(sgd):
    _, scheduler = attached(sgd)
    scheduler(None)
    engine, other = attached(sgd)
    other.load_state_dict(scheduler.state_dict())
    with pytest.raises(ConfigError, match="a state of event 1 was loaded, but the run starts at 0: restore"):
        engine.run(range(9))
    chosen, third = attached(sgd, on_mismatch="config")
    third.load_state_dict(scheduler.state_dict())
    chosen.run(range(9))
    assert chosen.seen == CURVE.values(range(9)).tolist()


@pytest.mark.parametrize("restored", [False, True])
def test_a_run_that_had_ended_is_said_to_have_ended(sgd, restored):
    engine, scheduler = attached(sgd)
    engine.run(range(9), max_epochs=2)
    again, other = attached(sgd)
    other.load_state_dict(scheduler.state_dict())
    if restored:
        again.load_state_dict(engine.state_dict())
    with pytest.raises(ConfigError, match=r"a state of event 18 .* its run had ended, .*: give it more epochs"):
        again.run(range(9), max_epochs=2)
    if restored:
        again, other = attached(sgd)
        other.load_state_dict(scheduler.state_dict())
        again.load_state_dict(engine.state_dict())
        again.run(range(9), max_epochs=3)
        assert again.seen == CURVE.values(range(18, 27)).tolist()


@pytest.mark.parametrize("declared", [False, True])
def test_histories_are_the_configs_whether_a_state_is_loaded_before_or_after(sgd, declared):
    saved = CosineAnnealingScheduler(sgd, "lr", **FIELDS, save_history=not declared).state_dict()
    before, after = (CosineAnnealingScheduler(sgd, "lr", **FIELDS, save_history=declared) for _ in range(2))
    before.load_state_dict(saved)
    before.attach(Engine(lambda *_: None))
    after.attach(Engine(lambda *_: None))
    after.load_state_dict(saved)
    assert (before.save_history, after.save_history) == (declared, declared)


def test_histories_that_are_asked_for_later_are_kept(sgd):
    engine, scheduler = attached(sgd)
    scheduler.detach()
    scheduler.save_history = True
    scheduler.attach(engine)
    engine.run(range(4))
    assert engine.state.param_history == {"lr": [[value] * 2 for value in CURVE.values(range(4))]}


# Two engines


def engines(optimizer, **fields):
    """Two engines that one scheduler is attached to, with what both of them see."""
    first, scheduler = attached(optimizer, **fields)
    second = Engine(lambda *_: first.seen.append(rate(optimizer)))
    scheduler.attach(second)
    return first, second


def test_one_scheduler_of_two_engines_follows_the_one_that_runs(sgd):
    first, second = engines(sgd, cycle_size="1ep", cycle_mult=1)
    cosine = [CosineAnnealing(start_value=1, end_value=0.1, cycle_size=size) for size in (4, 2)]
    for engine, length, curve in [(first, 4, cosine[0]), (second, 2, cosine[1]), (first, 4, cosine[0])]:
        first.seen.clear()
        engine.state.max_epochs = None  # begin anew
        engine.run(range(length), max_epochs=2)
        assert first.seen == curve.values(range(2 * length)).tolist()


def test_a_run_inside_that_of_the_other_engine_is_refused_before_a_wrong_value(sgd):
    first, second = engines(sgd, cycle_size="1ep", cycle_mult=1)
    first.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda: second.run(range(2)))
    with pytest.raises(RuntimeError, match=r"does not drive its parameter any more, for .* of another engine"):
        first.run(range(4), max_epochs=2)
    by_epochs = [CosineAnnealing(start_value=1, end_value=0.1, cycle_size=size).values(range(size)) for size in (4, 2)]
    assert first.seen == [*by_epochs[0], *by_epochs[1]]


@pytest.mark.parametrize("length", [4, 2])
def test_a_run_goes_on_after_that_of_another_engine_or_says_why_not(sgd, length):
    first, second = engines(sgd, cycle_size="1ep", cycle_mult=1)
    first.run(range(4), max_epochs=1)
    second.run(range(length), max_epochs=1)
    first.seen.clear()
    if length == 4:
        first.run(range(4), max_epochs=2)
        assert first.seen == CosineAnnealing(start_value=1, end_value=0.1, cycle_size=4).values(range(4)).tolist()
        return
    with pytest.raises(ConfigError, match=r"this run \(epoch_length=4, .*the one \(epoch_length=2, .* on_mismatch"):
        first.run(range(4), max_epochs=2)
