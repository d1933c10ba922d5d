"""Schedulers that count their calls, as handlers or in ignite's composites: units and checks at the first call."""

import copy
import pickle

import pytest
import torch
from engine_helpers import Unknown, rate
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import ConfigError, CosineAnnealing, CosineAnnealingScheduler


def cosine(optimizer, size="1ep", end=0, name="lr", **more):
    return CosineAnnealingScheduler(optimizer, name, 1, end, size, **more)


def curve(size, events, end=0):
    return CosineAnnealing(start_value=1, end_value=end, cycle_size=size).values(range(events)).tolist()


def run(optimizer, handler, event=Events.ITERATION_STARTED, data=range(6), epochs=4):
    """The rates that an engine with the handler sees, whether or not it ends."""
    seen = []
    engine = Engine(lambda *_: seen.append(rate(optimizer)))
    engine.add_event_handler(event, handler)
    engine.run(data, max_epochs=epochs)
    return seen


@pytest.mark.parametrize(
    ("size", "event", "events"),
    [
        ("2ep", Events.ITERATION_STARTED, 12),
        ("25%", Events.ITERATION_STARTED, 6),
        ("9it", Events.ITERATION_STARTED, 9),
        ("2ep", Events.EPOCH_STARTED, 2),
        ("75%", Events.EPOCH_STARTED, 3),
        ("12it", Events.EPOCH_STARTED, 2),
    ],
)
def test_units_are_resolved_at_the_first_call(sgd, size, event, events):
    by_epoch = event is Events.EPOCH_STARTED
    expected = [value for value in curve(events, 4) for _ in range(6)] if by_epoch else curve(events, 24)
    assert run(sgd, cosine(sgd, size), event) == expected


def test_ignites_own_setup_takes_units(sgd):
    common = pytest.importorskip("ignite.contrib.engines.common")
    seen = []
    engine = Engine(lambda *_: seen.append(rate(sgd)) or 0.0)
    common.setup_common_training_handlers(engine, lr_scheduler=cosine(sgd, "50%"), with_pbars=False)
    engine.run(range(5), max_epochs=2)
    assert seen == curve(5, 10)


COMPOSITES = {
    "the second of two": lambda o: ignite.ConcatScheduler([cosine(o, 8), cosine(o, "2ep")], [3]),
    "the first of two": lambda o: ignite.ConcatScheduler([cosine(o, "50%"), cosine(o, 12)], [7]),
    "of groups": lambda o: ignite.ParamGroupScheduler([cosine(o, "1ep"), cosine(o, "2ep", 0, "weight_decay")]),
    "nested": lambda o: ignite.ConcatScheduler([ignite.ParamGroupScheduler([cosine(o, "1ep")]), cosine(o, 12)], [6]),
}
EXPECTED = {
    "the second of two": curve(8, 3) + curve(12, 21),
    "the first of two": curve(12, 7) + curve(12, 17),
    "of groups": curve(6, 24),
    "nested": curve(6, 6) + curve(12, 18),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_units_are_resolved_inside_composites(name, sgd):
    assert run(sgd, COMPOSITES[name](sgd)) == EXPECTED[name]


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: ignite.create_lr_scheduler_with_warmup(s, 0, 3, 1),
        lambda s: ignite.ConcatScheduler.simulate_values(9, [s, cosine(s.optimizer, 4)], [5]),
        lambda s: s.get_param(),
        lambda s: s(None),
    ],
)
def test_without_an_engine_the_message_says_what_can_be_done(sgd, ask):
    with pytest.raises(ValueError, match=r"^cycle_size='1ep' .*attach .*give it events, or declare a warm-up"):
        ask(cosine(sgd))


def test_that_message_is_not_for_other_mistakes(sgd):
    scheduler = cosine(sgd, 4)
    scheduler.event_index = -1
    for ask in (scheduler.get_param, lambda: scheduler(None)):
        with pytest.raises(ValueError, match=r"event ind(ex|ices)[^;]*$"):
            ask()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: cosine(o, 10, -0.1), "^lr: lr is -0.0730811 at event 9: it must be finite and at least 0"),
        (lambda o: cosine(o, "50%", -0.1), "^lr: lr is -0.026314 at event 10"),
        (lambda o: cosine(o, 4, start_value_mult=1e80), "^lr: lr is .* it must be finite"),
        (lambda o: ignite.ParamGroupScheduler([cosine(o, 10, -0.1)], names=["all"]), "^all: lr is -0.07"),
        (lambda o: ignite.ConcatScheduler([cosine(o, 10, -0.1), cosine(o, 4)], [10]), "^lr: lr is -0.07"),
        (lambda o: ignite.ConcatScheduler([cosine(o, 4), cosine(o, 10, -0.1)], [4]), "^lr: lr is -0.07"),
        (lambda o: ignite.ConcatScheduler([cosine(o, 4), cosine(o, "0.1%")], [4]), "^lr: cycle_size='0.1%' is 1 it"),
    ],
)
def test_the_whole_run_is_checked_at_the_first_call(sgd, make, message):
    handler = make(sgd)
    with pytest.raises(ConfigError, match=message):
        run(sgd, handler)
    assert sgd.param_groups[0]["lr"] == 0.001


def test_of_what_a_composite_cuts_off_nothing_is_checked(sgd):
    parts = [cosine(sgd, 10, -0.1), cosine(sgd, "1ep")]
    assert run(sgd, ignite.ConcatScheduler(parts, [7])) == curve(10, 7, -0.1) + curve(6, 17)


def test_cycles_that_shrink_away_within_the_run_warn(sgd):
    with pytest.warns(UserWarning, match="^lr: cycles shrink to nothing at event 14"):
        run(sgd, cosine(sgd, 8, cycle_mult=0.5))


def test_a_run_of_unknown_length_is_an_error_before_the_first_step(sgd):
    seen = []
    engine = Engine(lambda *_: seen.append(1))
    engine.add_event_handler(Events.ITERATION_STARTED, cosine(sgd), "base")
    with pytest.raises(ConfigError, match=r"^base: cycle_size='1ep' needs .* epoch_length=None"):
        engine.run(Unknown(), max_epochs=2)
    assert not seen


@pytest.mark.parametrize("event", [Events.ITERATION_STARTED(every=3), Events.EPOCH_STARTED(every=3)])
def test_units_have_no_meaning_behind_a_filter(sgd, event):
    advice = rf"event=Events\.{event.name}\(every=3\)"
    with pytest.raises(ConfigError, match=f"^lr: it counts its calls, and 3 .*: give them in events, .*{advice}"):
        run(sgd, cosine(sgd, "2ep"), event, epochs=6)
    run(sgd, cosine(sgd, 4), event, epochs=6)


def test_it_counts_on_in_the_next_run(sgd):
    scheduler = cosine(sgd, "2ep")
    assert run(sgd, scheduler, epochs=1) + run(sgd, scheduler, epochs=1) == curve(12, 12)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_alone(sgd, copied):
    scheduler = cosine(sgd)
    run(sgd, scheduler, epochs=1)
    other = copied(scheduler)
    other(None)
    assert (other.event_index, scheduler.event_index) == (7, 6)
    assert rate(other.optimizer) == 1.0


@pytest.mark.parametrize("policy", ["error", "config", "checkpoint"])
def test_a_state_continues_in_a_longer_run_as_is_chosen(sgd, policy):
    first = cosine(sgd, "50%")
    run(sgd, first, epochs=2)
    second = cosine(torch.optim.SGD([torch.zeros(1)], lr=1.0), "50%", on_mismatch=policy)
    second.load_state_dict(first.state_dict())
    if policy == "error":
        with pytest.raises(ConfigError, match=r"^lr: this run .* cycle_size is 6 there and 12 here\. Choose"):
            run(second.optimizer, second)
        return
    assert run(second.optimizer, second) == curve({"config": 12, "checkpoint": 6}[policy], 36)[12:]


def test_it_is_told_what_an_iteration_has(sgd):
    scheduler = cosched.CosineAnnealingScheduler(sgd, "lr", 1, 0, "48sample", batch_size=4)
    assert run(sgd, scheduler) == curve(12, 24)
