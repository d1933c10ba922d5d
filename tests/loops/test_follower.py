"""Attached schedulers on the engine's clock: starts, restores, guards, and the events of cycles."""

import warnings

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import ConfigError, CosineAnnealing, CosineAnnealingScheduler, CycleEvents, LinearCyclicalScheduler

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4, "cycle_mult": 2}
CURVE = CosineAnnealing(**FIELDS)


def rate(optimizer, group=0):
    return optimizer.param_groups[group]["lr"]


def attached(optimizer, event=None, name=None, **fields):
    """An engine that lists the learning rates it sees, and a scheduler attached to it."""
    engine = Engine(lambda *_: engine.seen.append(rate(optimizer)))
    engine.seen = []
    scheduler = CosineAnnealingScheduler(optimizer, "lr", **{**FIELDS, **fields})
    scheduler.attach(engine, event, name)
    return engine, scheduler


# Durations


class Unknown:
    """Data of a length that nobody knows beforehand."""

    def __iter__(self):
        return iter(range(9))


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


# Guards


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


# The events of cycles


def listen(engine, **which):
    fired = []
    for event in CycleEvents:
        chosen = event(**which) if which else event
        engine.add_event_handler(
            chosen,
            lambda e, event=event: fired.append(
                (event.name, e.state.iteration, e.state.cycle, e.state.cycle_name, rate(e.optimizer))
            ),
        )
    return fired


def test_cycles_are_announced(sgd):
    engine, _ = attached(sgd)
    engine.optimizer = sgd
    fired = listen(engine)
    engine.run(range(7), max_epochs=4)
    assert fired == [
        ("CYCLE_STARTED", 1, 1, "lr", 1.0),
        ("CYCLE_COMPLETED", 4, 1, "lr", CURVE(3)),
        ("CYCLE_STARTED", 5, 2, "lr", 1.0),
        ("CYCLE_COMPLETED", 12, 2, "lr", CURVE(11)),
        ("CYCLE_STARTED", 13, 3, "lr", 1.0),
        ("CYCLE_COMPLETED", 28, 3, "lr", CURVE(27)),
    ], "the last one too, though the run ends with it"


@pytest.mark.parametrize("every", [1, 3])
def test_cycles_of_epochs_and_behind_a_filter(sgd, every):
    engine, _ = attached(sgd, Events.EPOCH_STARTED(every=every), cycle_size=2, cycle_mult=1, warmup_duration=1)
    engine.optimizer = sgd
    fired = listen(engine)
    engine.run(range(5), max_epochs=8)
    assert [(name, iteration, cycle) for name, iteration, cycle, *_ in fired] == [
        ("CYCLE_STARTED", 0, 1),
        ("CYCLE_COMPLETED", 10, 1),
        ("CYCLE_STARTED", 15, 2),
        ("CYCLE_COMPLETED", 25, 2),
        ("CYCLE_STARTED", 30, 3),
        ("CYCLE_COMPLETED", 40, 3),
    ], "the warm-up is between the cycles"


def test_one_of_several_schedulers(sgd):
    engine, _ = attached(sgd)
    engine.optimizer = sgd
    CosineAnnealingScheduler(sgd, "momentum", 0.9, 0.8, 5).attach(engine, name="beta")
    by_name, seconds = listen(engine, name="beta"), listen(engine, name="lr", every=2)
    all_of_them = listen(engine)
    engine.run(range(20))
    assert [number for name, _, number, *_ in by_name if name == "CYCLE_STARTED"] == [1, 2, 3, 4]
    assert {name for *_, name, _ in by_name} == {"beta"}
    assert [(name, i) for name, i, *_ in seconds] == [("CYCLE_STARTED", 5), ("CYCLE_COMPLETED", 12)]
    assert len(all_of_them) == 8 + 5


def test_a_name_that_nobody_has_is_refused(sgd):
    engine, _ = attached(sgd)
    engine.add_event_handler(CycleEvents.CYCLE_COMPLETED(name="Ir"), lambda: None)
    with pytest.raises(
        ConfigError, match=r"CYCLE_COMPLETED\(name='Ir'\) waits for none of the schedulers: did you mean"
    ):
        engine.run(range(3))


def test_a_resumed_run_announces_the_rest(sgd):
    engine, _ = attached(sgd)
    engine.optimizer = sgd
    fired = listen(engine)
    engine.load_state_dict({"iteration": 6, "epoch_length": 7, "max_epochs": 2})
    engine.run(range(7))
    assert [one[:3] for one in fired] == [("CYCLE_COMPLETED", 12, 2), ("CYCLE_STARTED", 13, 3)]


def test_ignites_checkpoint_makes_the_snapshots(sgd, tmp_path):
    engine, _ = attached(sgd)
    saver = Checkpoint({"trainer": engine}, DiskSaver(str(tmp_path)), n_saved=None)
    engine.add_event_handler(CycleEvents.CYCLE_COMPLETED, saver)
    engine.run(range(7), max_epochs=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"trainer_{i}.pt" for i in (12, 28, 4)]


def test_nothing_is_paid_where_nothing_listens(sgd):
    engine, _ = attached(sgd)
    engine.run(range(3))
    assert len(engine._event_handlers[Events.ITERATION_STARTED]) == 1
    assert not engine._event_handlers[Events.ITERATION_COMPLETED]


def test_bounds_of_cycles_agree_with_restarts():
    for fields in (
        FIELDS,
        {**FIELDS, "warmup_duration": 3},
        {**FIELDS, "num_cycles": 3},
        {**FIELDS, "cycle_mult": 0.7},
    ):
        schedule = CosineAnnealing(**{**fields, "cycle_size": 16})
        started, completed = schedule.cycle_bounds(range(300))
        parts = [schedule.cycle_bounds(range(i, i + 7)) for i in range(0, 301, 7)]
        assert {k: v for part, _ in parts for k, v in part.items()} == {**started}
        assert list(started) == [0, *schedule.restarts(300)]
        assert list(started.values()) == list(range(1, len(started) + 1))
        sizes = [b - a for a, b in zip([0, *schedule.restarts(300)], completed, strict=False)]
        lengths = [schedule.nth_cycle(k)[1] for k in range(len(sizes))]
        assert [size + 1 for size in sizes] == lengths
