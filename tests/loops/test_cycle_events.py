"""The events that an engine fires where a schedule's cycles begin and end."""

import pytest
from engine_helpers import CURVE, FIELDS, attached, rate
from ignite.engine import Events
from ignite.handlers import Checkpoint, DiskSaver

from cosched import ConfigError, CosineAnnealing, CosineAnnealingScheduler, CycleEvents


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
