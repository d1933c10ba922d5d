"""The bound schedulers against ignite's own, and as parts of ignite's composites."""

import inspect
import types

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import CosineAnnealingScheduler, LinearCyclicalScheduler
from cosched.schedules.durations import Event

BOTH = (ignite, cosched)


def run(handler, read, epochs=1, length=30, event=Events.ITERATION_STARTED, args=()):
    """What ``read()`` gives in each iteration of an engine with that handler."""
    seen = []
    engine = Engine(lambda *_: seen.append(read()))
    engine.add_event_handler(event, handler, *args)
    engine.run(range(length), max_epochs=epochs)
    return seen, engine


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


FIRST_EXAMPLE = """
scheduler = CosineAnnealingScheduler(optimizer, 'lr', 1e-1, 1e-3, len(train_loader))
trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
"""

SECOND_EXAMPLE = """
optimizer = SGD(
    [
        {"params": model.base.parameters(), 'lr': 0.001},
        {"params": model.fc.parameters(), 'lr': 0.01},
    ]
)

scheduler1 = LinearCyclicalScheduler(optimizer, 'lr', 1e-7, 1e-5, len(train_loader), param_group_index=0)
trainer.add_event_handler(Events.ITERATION_STARTED, scheduler1, "lr (base)")

scheduler2 = CosineAnnealingScheduler(optimizer, 'lr', 1e-5, 1e-3, len(train_loader), param_group_index=1)
trainer.add_event_handler(Events.ITERATION_STARTED, scheduler2, "lr (fc)")
"""


@pytest.mark.parametrize("example", [FIRST_EXAMPLE, SECOND_EXAMPLE])
@pytest.mark.parametrize("history", [False, True])
def test_the_reference_examples_give_ignites_numbers(example, history):
    results = []
    for module in BOTH:
        seen = []
        names = {
            "CosineAnnealingScheduler": module.CosineAnnealingScheduler,
            "LinearCyclicalScheduler": module.LinearCyclicalScheduler,
            "Events": Events,
            "SGD": torch.optim.SGD,
            "train_loader": range(13),
            "model": types.SimpleNamespace(base=torch.nn.Linear(1, 1), fc=torch.nn.Linear(1, 1)),
            "optimizer": torch.optim.SGD([torch.zeros(1)], lr=1.0),
        }
        names["trainer"] = Engine(lambda *_, seen=seen, names=names: seen.append(rates(names["optimizer"])))
        exec(example, names)
        for name, value in names.items():
            if name.startswith("scheduler"):
                value.save_history = history
        names["trainer"].run(names["train_loader"], max_epochs=3)
        results.append((seen, getattr(names["trainer"].state, "param_history", None)))
    (expected, their_history), (ours, our_history) = results
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    assert (their_history is None) == (our_history is None) == (not history)
    for name, values in (their_history or {}).items():
        np.testing.assert_allclose(our_history[name], values, rtol=1e-12)
        assert len(our_history) == len(their_history)


@pytest.mark.parametrize("name", ["CosineAnnealingScheduler", "LinearCyclicalScheduler"])
def test_the_constructor_has_the_reference_order(name):
    reference = "optimizer param_name start_value end_value cycle_size cycle_mult start_value_mult end_value_mult"
    signature = inspect.signature(getattr(cosched, name))
    positional = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [*reference.split(), "save_history", "param_group_index"]
    theirs = inspect.signature(ignite.CosineAnnealingScheduler).parameters
    for parameter in positional:
        assert signature.parameters[parameter].default == theirs[parameter].default


def test_all_positional_arguments_arrive(sgd):
    scheduler = CosineAnnealingScheduler(sgd, "lr", 1.0, 0.1, 4, 2.0, 0.5, 0.25, True, 1, warmup_duration=3)
    schedule = cosched.CosineAnnealing(
        start_value=1.0,
        end_value=0.1,
        cycle_size=4,
        cycle_mult=2.0,
        start_value_mult=0.5,
        end_value_mult=0.25,
        warmup_duration=3,
    )
    assert scheduler.schedule == schedule
    seen, engine = run(scheduler, lambda: rates(sgd))
    assert [group for group, _ in seen] == [0.001] * 30, "the other group is left alone"
    assert [group for _, group in seen] == schedule.values(range(30)).tolist()
    assert engine.state.param_history == {"lr": [[value] for value in schedule.values(range(30))]}


def linear(module, optimizer, **more):
    return module.LinearCyclicalScheduler(optimizer, "lr", 0.0, 1.0, 8, **more)


def cosine(module, optimizer, **more):
    return module.CosineAnnealingScheduler(optimizer, "lr", 1.0, 0.2, 4, cycle_mult=2, **more)


COMPOSITES = {
    "concat": lambda m, o: ignite.ConcatScheduler([linear(m, o), cosine(m, o)], durations=[6]),
    "group": lambda m, o: ignite.ParamGroupScheduler(
        [linear(m, o, param_group_index=0), cosine(m, o, param_group_index=1)], names=["base", "fc"]
    ),
    "warmup": lambda m, o: ignite.create_lr_scheduler_with_warmup(cosine(m, o), 0.01, 5, 1.0),
    "warmup to another value": lambda m, o: ignite.create_lr_scheduler_with_warmup(cosine(m, o), 0.01, 5, 0.5),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_inside_ignites_composites_it_is_ignites_own(name, sgd):
    results = [run(COMPOSITES[name](module, sgd), lambda: rates(sgd))[0] for module in BOTH]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["concat", "warmup"])
def test_a_composite_resumes_from_its_state(name, sgd):
    whole, _ = run(COMPOSITES[name](cosched, sgd), lambda: rates(sgd))
    first = COMPOSITES[name](cosched, sgd)
    run(first, lambda: rates(sgd), length=9)
    second = COMPOSITES[name](cosched, sgd)
    second.load_state_dict(first.state_dict())
    rest, _ = run(second, lambda: rates(sgd), length=21)
    assert rest == whole[9:]


def test_simulating_a_composite_leaves_its_parts_as_they_were(sgd):
    simulated = [None] * 20
    scheduler = cosine(cosched, sgd, save_history=True)
    combined = ignite.create_lr_scheduler_with_warmup(
        scheduler, 0.01, 5, 1.0, save_history=True, output_simulated_values=simulated
    )
    assert (scheduler.event_index, scheduler.save_history) == (0, True)
    seen, _ = run(combined, lambda: rates(sgd), length=20)
    assert seen == [values for _, *values in simulated]


def test_simulate_values_needs_no_optimizer_and_touches_none(sgd):
    keywords = {"param_name": "any name", "start_value": 1.0, "end_value": 0.1, "cycle_size": 4}
    simulated = CosineAnnealingScheduler.simulate_values(6, optimizer=sgd, save_history=True, **keywords)
    np.testing.assert_allclose(
        simulated, ignite.CosineAnnealingScheduler.simulate_values(6, **{**keywords, "param_name": "lr"})
    )
    assert rates(sgd) == [0.001, 0.01]
    with pytest.raises(TypeError, match="no field 'cycle_mlt': did you mean 'cycle_mult'"):
        CosineAnnealingScheduler.simulate_values(6, cycle_mlt=2, **keywords)


def test_plot_values_returns_the_line():
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"backend": "agg"}):
        keywords = {"param_name": "lr", "start_value": 1e-1, "end_value": 1e-3, "cycle_size": 10}
        [line] = LinearCyclicalScheduler.plot_values(num_events=50, **keywords)
        assert isinstance(line, matplotlib.lines.Line2D)
        simulated = ignite.LinearCyclicalScheduler.simulate_values(num_events=50, **keywords)
        np.testing.assert_allclose(line.get_xydata(), simulated, rtol=1e-12)
        matplotlib.pyplot.close()


def test_get_param_is_the_next_value(sgd):
    scheduler = cosine(cosched, sgd)
    assert scheduler.get_param() == 1.0
    for _ in range(2):
        scheduler(None)
    assert rates(sgd) == [scheduler.schedule(1)] * 2
    assert scheduler.get_param() == scheduler.schedule(2)


@pytest.mark.parametrize(
    ("bind", "most"),
    [
        (lambda e, s: s.attach(e), 4),  # some of them check the run at its start
        (lambda e, s: e.add_event_handler(Events.ITERATION_STARTED, s), 6),
    ],
)
def test_events_share_evaluations(sgd, monkeypatch, bind, most):
    scheduler = cosine(cosched, sgd)
    evaluations = []
    values = cosched.CosineAnnealing.values
    monkeypatch.setattr(cosched.CosineAnnealing, "values", lambda *args: evaluations.append(1) or values(*args))
    engine = Engine(lambda *_: None)
    bind(engine, scheduler)
    engine.run(range(5000))
    assert len(evaluations) <= most


def test_a_tensor_keeps_its_identity():
    rate = torch.tensor(0.1, dtype=torch.float64)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    cosine(cosched, optimizer)(None)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == 1.0


def test_any_object_with_param_groups_is_an_optimizer():
    optimizer = types.SimpleNamespace(param_groups=[{"lr": 3}, {"temperature": 1}])
    cosine(cosched, optimizer)(None)
    assert optimizer.param_groups == [{"lr": 1.0}, {"temperature": 1}], "no junk key in a group without it"


@pytest.mark.parametrize("optimizer", [None, 3, object(), types.SimpleNamespace(param_groups=3)])
def test_a_non_optimizer_is_a_type_error(optimizer):
    with pytest.raises(TypeError, match="param_groups"):
        cosine(cosched, optimizer)


GOOD = {"param_name": "lr", "start_value": 1.0, "end_value": 0.1, "cycle_size": 4}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            {"param_name": "Ir"},
            ValueError,
            r"param_name='Ir' names no number to schedule: did you mean 'lr'\? There are: lr, ",
        ),
        ({"param_name": "weigth_decay"}, ValueError, "did you mean 'weight_decay'"),
        ({"param_name": "params"}, ValueError, "param_name='params' names no number to schedule"),
        ({"param_name": "nesterov"}, ValueError, "param_name='nesterov' names no number to schedule"),
        (
            {"param_group_index": 2},
            ValueError,
            r"param_group_index=2 is out of range: .* 2 parameter group\(s\), .* 0 to 1",
        ),
        ({"param_group_index": -3}, ValueError, "param_group_index=-3 is out of range"),
        ({"param_group_index": "head"}, TypeError, "param_group_index='head' must be an integer"),
        ({"cycle_size": 0}, ValueError, "cycle_size=0 must be"),
        ({"cycle_mlt": 2}, TypeError, "has no argument 'cycle_mlt': did you mean 'cycle_mult'"),
        ({"event": "ITERATION"}, ValueError, "event='ITERATION' has no clock .*use Events.ITERATION_STARTED"),
    ],
)
def test_mistakes_are_refused_at_construction(sgd, wrong, error, message):
    with pytest.raises(error, match=message):
        CosineAnnealingScheduler(sgd, **{**GOOD, **wrong})


def test_a_missing_argument_is_named(sgd):
    with pytest.raises(TypeError, match="missing a required argument: 'cycle_size'"):
        CosineAnnealingScheduler(sgd, "lr", 1.0, 0.1)


def test_an_overflowing_value_is_never_applied(sgd):
    scheduler = CosineAnnealingScheduler(sgd, "lr", 1.0, 0.1, 2, start_value_mult=2)
    scheduler.event_index = 2100
    with pytest.raises(OverflowError, match=r"lr is (inf|nan) at event 2100: a multiplier has overflowed"):
        scheduler(None)
    assert rates(sgd) == [0.001, 0.01]


@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, "iteration_started", Event.ITERATION_STARTED, None])
def test_attached_it_follows_the_engines_clock(sgd, event):
    scheduler = cosine(cosched, sgd)
    seen = []
    engine = Engine(lambda *_: seen.append(rates(sgd)[0]))
    scheduler.attach(engine, event)
    engine.run(range(10), max_epochs=2)
    assert seen == scheduler.schedule.values(range(20)).tolist()
    resumed, again = [], Engine(lambda *_: resumed.append(rates(sgd)[0]))
    cosine(cosched, sgd).attach(again, event)
    again.load_state_dict({"iteration": 13, "epoch_length": 10, "max_epochs": 2})
    again.run(range(10))
    assert resumed == seen[13:]


def test_attached_to_epochs_or_with_a_filter(sgd):
    for event, index in (
        (Events.EPOCH_STARTED, lambda i: i // 5),
        (Events.ITERATION_STARTED(every=4), lambda i: (i + 1) // 4 * 4 - 1),
    ):
        seen = []
        engine = Engine(lambda *_, seen=seen: seen.append(rates(sgd)[0]))
        scheduler = cosine(cosched, sgd)
        scheduler.attach(engine, event)
        engine.run(range(5), max_epochs=4)
        assert seen[4:] == [scheduler.schedule(index(i)) for i in range(4, 20)]


@pytest.mark.parametrize(
    "event", [Events.STARTED, Events.GET_BATCH_STARTED, Events.EPOCH_STARTED | Events.ITERATION_STARTED, "epoch", 3]
)
def test_an_event_without_a_clock_is_refused(sgd, event):
    engine = Engine(lambda *_: None)
    with pytest.raises(ValueError, match="has no clock that a schedule could follow"):
        cosine(cosched, sgd).attach(engine, event)


def test_state_goes_round_as_plain_data(sgd, tmp_path):
    scheduler = cosine(cosched, sgd)
    for _ in range(11):
        scheduler(None)
    torch.save(scheduler.state_dict(), tmp_path / "state.pt")
    other = cosine(cosched, sgd)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (other.event_index, other.get_param()) == (11, scheduler.schedule(11))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: [1], TypeError, "should be a dictionary"),
        (
            lambda state: {key: state[key] for key in state if key != "event_index"},
            ValueError,
            r"lacks \['event_index'\]",
        ),
        (lambda state: {**state, "event_index": -1}, ValueError, "event_index=-1 in state_dict"),
        (lambda state: {**state, "event_index": 1.0}, ValueError, "event_index=1.0 in state_dict"),
        (lambda state: {**state, "save_history": None}, ValueError, "save_history=None in state_dict"),
        (lambda state: {**state, "param_name": "momentum"}, ValueError, "param_name is 'momentum' there and 'lr' here"),
        (
            lambda state: {**state, "schedule": {**state["schedule"], "cycle_size": 9}},
            ValueError,
            "cycle_size is 9 there and 4",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(sgd, change, error, message):
    scheduler = cosine(cosched, sgd)
    scheduler(None)
    before = scheduler.state_dict()
    saved = cosine(cosched, sgd, save_history=True)
    for _ in range(5):
        saved(None)
    with pytest.raises(error, match=message):
        scheduler.load_state_dict(change(saved.state_dict()))
    assert scheduler.state_dict() == before
