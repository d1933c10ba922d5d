"""ignite's own schedulers, declared in a config and given to `cosched.attach`."""

import math

import ignite.handlers as ignite
import pytest
import torch
from ignite.engine import Engine, Events
from omegaconf import OmegaConf

import cosched


def run(engine, declared, optimizer=None, **arguments):
    """What attach makes of YAML, after a run of three epochs of eight iterations."""
    bound = cosched.attach(engine, OmegaConf.create(declared), optimizer, **arguments)
    engine.run(range(8), max_epochs=3)
    return bound


def rates(optimizer):
    """An engine that lists the rates which it sees, and the list."""
    seen = []
    return Engine(lambda *_: seen.append(optimizer.param_groups[0]["lr"])), seen


POINTS = "[[2, 0.1], [10, 1.0], [20, 0.5]]"
DECLARED = {
    "{_target_: ignite.handlers.CosineAnnealingScheduler, param_name: lr, start_value: 1.0, end_value: 0.1,"
    " cycle_size: 4, cycle_mult: 2}": lambda o: ignite.CosineAnnealingScheduler(o, "lr", 1.0, 0.1, 4, 2),
    f"{{_target_: ignite.handlers.PiecewiseLinear, param_name: lr, milestones_values: {POINTS}}}": (
        lambda o: ignite.PiecewiseLinear(o, "lr", [(2, 0.1), (10, 1.0), (20, 0.5)])
    ),
    f"""
    _target_: ignite.handlers.ConcatScheduler
    durations: [5]
    schedulers:
      - {{_target_: ignite.handlers.PiecewiseLinear, param_name: lr, milestones_values: {POINTS}}}
      - {{_target_: ignite.handlers.LinearCyclicalScheduler, param_name: lr, start_value: 1, end_value: 0,
         cycle_size: 6}}
    """: lambda o: ignite.ConcatScheduler(
        [
            ignite.PiecewiseLinear(o, "lr", [(2, 0.1), (10, 1.0), (20, 0.5)]),
            ignite.LinearCyclicalScheduler(o, "lr", 1, 0, 6),
        ],
        [5],
    ),
}


@pytest.mark.parametrize("declared", DECLARED)
def test_what_yaml_can_say_gives_ignites_values(sgd, declared):
    ours, seen = rates(sgd)
    bound = run(ours, declared, sgd)
    theirs, expected = rates(sgd)
    made = DECLARED[declared](sgd)
    theirs.add_event_handler(Events.ITERATION_STARTED, made)
    theirs.run(range(8), max_epochs=3)
    assert type(bound) is type(made)
    assert seen == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "milestones_values"),
        ("milestones_values: 3", "milestones_values should be a list"),
        ("milestones_values: [[0, 1, 2]]", "should be a list of pairs"),
        ("milestones_values: [[0.5, 1]]", "milestone should be integer"),
        ("milestones: [[0, 1]]", "has no field 'milestones': did you mean 'milestones_values'"),
    ],
)
def test_mistakes_in_them_name_the_key(sgd, fields, message):
    with pytest.raises(cosched.ConfigError, match=f"^scheduler: .*{message}"):
        run(Engine(lambda *_: None), f"{{_target_: ignite.handlers.PiecewiseLinear, param_name: lr, {fields}}}", sgd)


# Schedulers of the engine's state

STATES = {
    "{_target_: ignite.handlers.PiecewiseLinearStateScheduler, milestones_values: [[2, 0.1], [10, 1.0]]}": (
        lambda: ignite.PiecewiseLinearStateScheduler([(2, 0.1), (10, 1.0)], "weight", create_new=True)
    ),
    "{_target_: ignite.handlers.ExpStateScheduler, initial_value: 2, gamma: 0.5}": (
        lambda: ignite.ExpStateScheduler(2, 0.5, "weight", create_new=True)
    ),
    "{_target_: ignite.handlers.StepStateScheduler, initial_value: 2, gamma: 0.5, step_size: 3}": (
        lambda: ignite.StepStateScheduler(2, 0.5, 3, "weight", create_new=True)
    ),
    "{_target_: ignite.handlers.MultiStepStateScheduler, initial_value: 2, gamma: 0.5, milestones: [3, 7]}": (
        lambda: ignite.MultiStepStateScheduler(2, 0.5, [3, 7], "weight", create_new=True)
    ),
}


@pytest.mark.parametrize("event", [None, Events.ITERATION_STARTED, Events.EPOCH_COMPLETED(every=2)])
@pytest.mark.parametrize("declared", STATES)
def test_those_of_the_engines_state_do_as_when_ignite_attaches_them(declared, event):
    seen = []
    for ours in (True, False):
        engine = Engine(lambda engine, _: seen[-1].append(engine.state.weight))
        seen.append([])
        if ours:
            config = {**OmegaConf.create(declared), "param_name": "engine.state.weight", "create_new": True}
            run(engine, config, event=event)
        else:
            STATES[declared]().attach(engine, event or Events.ITERATION_COMPLETED)
            engine.run(range(8), max_epochs=3)
    assert seen[0] == seen[1]
    assert len({*seen[0]}) > 1


class Halved:
    """What a config makes where the caller allows it."""

    def __call__(self, event_index):
        return 0.5**event_index


def test_a_function_is_the_callers_to_allow():
    declared = "{_target_: ignite.handlers.LambdaStateScheduler, param_name: engine.state.weight, create_new: true,"
    engine = Engine(lambda *_: None)
    with pytest.raises(cosched.ConfigError, match=r"^scheduler: Expected lambda_obj to be callable"):
        run(engine, declared + " lambda_obj: math.sqrt}")
    halved = f" lambda_obj: {{_target_: {__name__}.Halved}}}}"
    with pytest.raises(cosched.ConfigError, match=r"would call .*Halved, but .* allow it where the config is used"):
        run(engine, declared + halved)
    run(engine, declared + halved, allow=f"{__name__}.Halved")
    assert math.isclose(engine.state.weight, 0.5**24)


@pytest.mark.parametrize("theirs", [False, True])
def test_what_ignite_brings_is_detached_too(sgd, theirs):
    engine = Engine(lambda *_: None)
    if theirs:
        scheduler = ignite.ExpStateScheduler(2, 0.5, "weight", create_new=True)
    else:
        scheduler = ignite.LinearCyclicalScheduler(sgd, "lr", 1.0, 0.0, 10)
    cosched.attach(engine, {"theirs": scheduler})
    engine.run(range(1))
    assert (engine.state.weight if theirs else sgd.param_groups[0]["lr"]) == 1.0
    cosched.detach(engine)
    sgd.param_groups[0]["lr"] = 0.25
    engine.run(range(3))
    assert (engine.state.weight if theirs else sgd.param_groups[0]["lr"]) == (1.0 if theirs else 0.25)


def test_where_one_cannot_be_registered_none_is(sgd):
    engine = Engine(lambda *_: None)
    engine.state.weight = 3
    good = cosched.CosineAnnealingScheduler(sgd, "lr", 1, 0, 4)
    with pytest.raises(ValueError, match="'weight' already exists"):
        cosched.attach(engine, [good, ignite.ExpStateScheduler(2, 0.5, "weight", create_new=True)])
    engine.run(range(3))
    assert (sgd.param_groups[0]["lr"], engine.state.weight) == (0.001, 3)


def test_a_scheduler_of_batch_sizes_is_attached_as_ignite_attaches_it():
    if not hasattr(ignite, "BatchSizeScheduler"):
        pytest.skip("since ignite 0.5.5")
    data = torch.utils.data.DataLoader(range(24), batch_size=2)
    engine = Engine(lambda *_: None)
    cosched.attach(engine, ignite.BatchSizeScheduler(data, lambda epoch: 2 + epoch))
    sizes = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: sizes.append(data.batch_sampler.batch_size))
    engine.run(data, max_epochs=3, epoch_length=2)
    assert sizes == [2, 3, 4]
