"""The core that no loop owns: arguments, windows of values, application by index."""

import pytest
import torch
from ignite.engine import Engine

import cosched
from cosched.binding.bound import Bound

CURVE = cosched.CosineAnnealing(start_value=1.0, end_value=0.0, cycle_size=10)
GROWING = cosched.LinearCyclical(
    start_value=1.0, end_value=2.0, cycle_size=2, start_value_mult=1e200, end_value_mult=1e200, monotonic=True
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": 3}, r"schedule=3 must be a schedule, as cosched\.CosineAnnealing"),
        ({"param_name": 3}, "param_name=3 must be the name of a number, as 'lr' or"),
        ({"param_group": 3}, "param_group=3 must be a pattern of names, or None"),
        ({"relative": 1}, "relative=1 must be true or false"),
    ],
)
def test_arguments_of_a_wrong_type_are_refused(sgd, arguments, message):
    with pytest.raises(TypeError, match=message):
        Bound(sgd, **{"schedule": CURVE, "param_name": "lr", **arguments})


def test_a_value_is_applied_by_its_index_in_any_order(sgd):
    bound = Bound(sgd, CURVE, "lr")
    for index in (7, 3, 3, 10**15, 0):
        bound.apply(index)
        assert [group["lr"] for group in sgd.param_groups] == [CURVE(index)] * 2
        assert bound.event_index == index + 1


def test_a_window_holds_the_values_around_an_index(sgd):
    first, stop, values = Bound(sgd, CURVE, "lr").window(5000)
    assert first <= 5000 < stop
    assert [*values] == CURVE.values(range(first, stop)).tolist()


def test_a_window_is_cut_short_before_a_value_that_has_overflowed(sgd):
    bound = Bound(sgd, GROWING, "lr")
    assert bound.window(1) == (1, 2, type(bound.window(1)[2])("d", [1.5]))
    with pytest.raises(OverflowError, match="lr is nan at event 5: a multiplier has overflowed; use multipliers of"):
        bound.window(5)
    with pytest.raises(OverflowError, match="lr is nan at event 5"):
        bound.apply(5)


def test_a_bound_scheduler_shows_its_schedule_and_its_number():
    adam = torch.optim.Adam([torch.zeros(1)])
    assert repr(cosched.BoundScheduler(adam, CURVE, "momentum")) == f"BoundScheduler({CURVE!r}, 'betas[0]')"


def test_a_scheduler_detaches_itself(sgd):
    engines = [Engine(lambda *_: None) for _ in range(2)]
    scheduler = cosched.BoundScheduler(sgd, CURVE)
    for engine in engines:
        scheduler.attach(engine)
    scheduler.detach(engines[0])
    engines[0].run(range(3))
    assert sgd.param_groups[0]["lr"] == 0.001, "what the optimizer began with"
    engines[1].run(range(3))
    assert sgd.param_groups[0]["lr"] == CURVE(2)
    scheduler.detach()
    engines[1].run(range(3), max_epochs=2)
    assert sgd.param_groups[0]["lr"] == CURVE(2)


def test_values_are_simulated_for_any_schedule():
    simulated = cosched.BoundScheduler.simulate_values(4, schedule=CURVE, param_name="lr")
    assert simulated == [[i, CURVE(i)] for i in range(4)]


def test_a_history_in_a_state_is_a_bool(sgd):
    scheduler = cosched.BoundScheduler(sgd, CURVE)
    state = scheduler.state_dict()
    with pytest.raises(ValueError, match="save_history='yes' in state_dict must be True or False"):
        scheduler.load_state_dict({**state, "save_history": "yes"})
