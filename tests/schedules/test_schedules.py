"""The pure schedules against ignite, torch and exact arithmetic."""

import copy
import dataclasses
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from helpers import random_parameters
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite

import cosched
from cosched import CosineAnnealing, LinearCyclical

SHAPES = (CosineAnnealing, LinearCyclical)


@pytest.mark.filterwarnings("ignore:cycle_mult")
def test_300_random_parameter_sets_agree_with_ignite_in_every_way_of_use():
    rng = np.random.default_rng(0)
    for _ in range(300):
        name, fields = random_parameters(rng)
        oracle = getattr(ignite, f"{name}Scheduler").simulate_values(200, param_name="lr", **fields)
        bound_class = getattr(cosched, f"{name}Scheduler")
        schedule = getattr(cosched, name)(**fields)
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        applied = []
        engine = Engine(lambda _, __, o=optimizer, a=applied: a.append(o.param_groups[0]["lr"]))
        engine.add_event_handler(Events.ITERATION_STARTED, bound_class(optimizer, "lr", **fields))
        engine.run(range(200))
        simulated = bound_class.simulate_values(200, param_name="lr", **fields)
        assert [event for event, _ in simulated] == list(range(200))
        for ours in (
            schedule.values(range(200)),
            [schedule(i) for i in range(200)],
            applied,
            np.array(simulated)[:, 1],
        ):
            np.testing.assert_allclose(ours, np.array(oracle)[:, 1], rtol=1e-12, atol=0, err_msg=str((name, fields)))


def test_worked_example_of_the_two_phases():
    schedule = CosineAnnealing(
        start_value=1, end_value=0.1, cycle_size=4, warmup_duration=2, start_value_mult=0.5, end_value_mult=0.5
    )
    expected = [1, 0.868198, 0.55, 0.231802, 0.1, 0.3, 0.5, 0.434099, 0.275, 0.115901, 0.05, 0.15, 0.25, 0.217050]
    np.testing.assert_allclose(schedule.values(range(14)), expected, atol=5e-7)


@pytest.mark.parametrize("mult", [1, 2, 3, 10])
@pytest.mark.parametrize("size", [2, 7, 10])
def test_equals_torch_warm_restarts(size, mult):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.05)
    oracle = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, size, mult, eta_min=0.001)
    expected = []
    for _ in range(1300):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
    schedule = CosineAnnealing(start_value=0.05, end_value=0.001, cycle_size=size, cycle_mult=mult)
    np.testing.assert_allclose(schedule.values(range(1300)), expected, rtol=1e-12)


def test_restarts_of_the_sgdr_paper():
    schedule = CosineAnnealing(start_value=0.05, end_value=0, cycle_size=10, cycle_mult=2)
    assert list(schedule.restarts(200)) == [10, 30, 70, 150]
    assert list(schedule.restarts(150)) == [10, 30, 70]
    assert list(schedule.restarts(10)) == []
    assert schedule.restarts(200).dtype == np.int64


def test_a_restart_that_floating_logarithms_miss():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=10, cycle_mult=3)
    assert 1210 in schedule.restarts(2000)
    assert schedule(1210) == 1
    assert schedule(1209) < 1e-5


def exact_position(step, size, warmup, mult):
    """Cycle, position and length, by the definition, one cycle at a time."""
    cycle = 0
    while step >= size + warmup:
        step -= size + warmup
        size, warmup, cycle = int(size * mult), int(warmup * mult), cycle + 1
    return cycle, step, size


@pytest.mark.parametrize("mult", [1.5, 2, 1.001])
@pytest.mark.parametrize("step", [10**6, 10**9, 10**12])
def test_far_values_are_exact(mult, step):
    _, position, size = exact_position(step, 2003, 0, mult)
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=2003, cycle_mult=mult)
    assert schedule(step) == pytest.approx((1 + math.cos(math.pi * position / size)) / 2, rel=1e-12)


def test_far_values_repeat_with_the_period():
    schedule = CosineAnnealing(start_value=1, end_value=0.5, cycle_size=7, warmup_duration=4)
    far = 10**12 // 11 * 11
    assert schedule.values(range(far, far + 22)).tolist() == schedule.values(range(22)).tolist()
    assert list(schedule.restarts(40)) == [11, 22, 33]


valid = st.builds(
    lambda shape, warmup, **fields: shape(**fields, warmup_duration=warmup if shape is CosineAnnealing else 0),
    st.sampled_from(SHAPES),
    start_value=st.floats(-10, 10),
    end_value=st.floats(-10, 10),
    cycle_size=st.integers(2, 50),
    cycle_mult=st.sampled_from([0.5, 0.9, 1.0, 1.5, 2.0]) | st.floats(0.1, 3),
    start_value_mult=st.floats(0.5, 1),
    end_value_mult=st.floats(-1, 1),
    warmup=st.integers(0, 20),
    num_cycles=st.none() | st.integers(1, 5),
    endpoint=st.booleans(),
)


@pytest.mark.filterwarnings("ignore:cycle_mult")
@given(valid, st.lists(st.integers(0, 2**53 - 1) | st.integers(0, 300), min_size=1, max_size=20))
def test_vectorised_equals_scalar_in_any_order(schedule, steps):
    values = schedule.values(steps)
    assert values.tolist() == [copy.copy(schedule)(step) for step in steps]
    assert schedule.values(np.array(steps).reshape(-1, 1)).tolist() == [[value] for value in values]


@pytest.mark.filterwarnings("ignore:cycle_mult")
@given(valid, st.integers(0, 400))
def test_bounds_and_restarts(schedule, num_events):
    values = schedule.values(range(num_events))
    bound = max(abs(schedule.start_value), abs(schedule.end_value))
    assert (abs(values) <= bound * (1 + 1e-12)).all()
    restarts = schedule.restarts(num_events)
    if schedule.start_value_mult == 1:
        assert (values[restarts] == schedule.start_value).all()
    gaps = np.diff(restarts)
    size, warmup = schedule.cycle_size, schedule.warmup_duration
    for gap in [*restarts[:1], *gaps]:
        assert gap == size + warmup
        size, warmup = int(size * schedule.cycle_mult), int(warmup * schedule.cycle_mult)
    assert schedule.num_cycles is None or len(restarts) < schedule.num_cycles


@pytest.mark.filterwarnings("ignore:cycle_mult")
@given(valid)
def test_copies_are_equal_and_give_the_same_values(schedule):
    schedule(10**9)
    for other in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule), dataclasses.replace(schedule)):
        assert other == schedule
        assert other(12345) == schedule(12345)


def test_endpoint_is_that_of_linspace():
    ramp = LinearCyclical(start_value=0.3, end_value=0.1, cycle_size=10, monotonic=True, endpoint=True)
    np.testing.assert_allclose(ramp.values(range(10)), np.linspace(0.3, 0.1, 10), rtol=1e-15)
    for cycle in range(3):
        cosine = CosineAnnealing(start_value=1, end_value=1e-10, cycle_size=10, end_value_mult=0.3, endpoint=True)
        assert cosine(10 * cycle + 9) == 1e-10 * 0.3**cycle, "the end value itself, not one rounded on the way"
    triangle = LinearCyclical(start_value=0, end_value=1, cycle_size=9, endpoint=True)
    np.testing.assert_allclose(triangle.values(range(9)), triangle.values(range(8, -1, -1)), atol=1e-15)
    assert triangle(4) == 1


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("endpoint", [False, True])
def test_without_its_startpoint_a_cycle_is_the_rest_of_a_longer_linspace(size, endpoint):
    ramp = LinearCyclical(
        start_value=0.3, end_value=0.1, cycle_size=size, monotonic=True, startpoint=False, endpoint=endpoint
    )
    once = np.linspace(0.3, 0.1, size + 1, endpoint=endpoint)[1:] if endpoint else np.linspace(0.3, 0.1, size + 2)[1:-1]
    np.testing.assert_allclose(ramp.values(range(3 * size)), [*once] * 3, rtol=1e-15)
    held = dataclasses.replace(ramp, num_cycles=1)
    assert set(held.values(range(size, size + 9))) == {0.1}
    warmed = dataclasses.replace(ramp, warmup_duration=4)
    np.testing.assert_allclose(
        warmed.values(range(2 * size + 4)), [*once, *np.linspace(0.1, 0.3, 4, endpoint=False), *once], rtol=1e-14
    )


def test_a_triangle_without_its_startpoint_is_symmetric_and_never_at_its_start():
    triangle = LinearCyclical(start_value=0, end_value=1, cycle_size=9, startpoint=False)
    values = triangle.values(range(9))
    np.testing.assert_allclose(values, values[::-1], atol=1e-15)
    assert values.min() == pytest.approx(0.2)
    assert values[4] == 1


def test_a_cycle_of_one_event_has_its_start_value():
    halves = CosineAnnealing(start_value=1, end_value=0, cycle_size=1, start_value_mult=0.5)
    assert halves.values(range(4)).tolist() == [1, 0.5, 0.25, 0.125]
    assert halves.restarts(4).tolist() == [1, 2, 3]
    longer = CosineAnnealing(start_value=1, end_value=0, cycle_size=1, cycle_mult=2, num_cycles=9)
    assert longer.values(range(4)).round(12).tolist() == [1, 1, 0.5, 1]
    assert longer.restarts(31).tolist() == [1, 3, 7, 15]
    once = CosineAnnealing(start_value=1, end_value=0.25, cycle_size=1, num_cycles=1)
    assert once.values(range(3)).tolist() == [1, 0.25, 0.25]
    back = CosineAnnealing(start_value=1, end_value=0, cycle_size=1, warmup_duration=2, num_cycles=3)
    assert back.values(range(6)).tolist() == [1, 0, 0.5, 1, 0, 0.5]
    shrinking = CosineAnnealing(start_value=1, end_value=0.25, cycle_size=1, cycle_mult=0.5, num_cycles=9)
    assert shrinking.values(range(3)).tolist() == [1, 0.25, 0.25]


@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize("startpoint", [False, True])
def test_a_phase_of_one_event_ends_at_its_end_value(startpoint, endpoint):
    ends = {"startpoint": startpoint, "endpoint": endpoint}
    phases = {
        "up": cosched.Phase(shape="polynomial_annealing", start_value=0, end_value=1, duration=1, **ends),
        "on": cosched.Phase(shape="constant"),
    }
    first, *after = cosched.Phases(phases=phases).resolve(max_iters=5).values(range(5)).tolist()
    assert first == (0 if startpoint else 1 if endpoint else 0.5)
    assert after == [1] * 4


def test_cycles_of_one_event_that_never_change_are_refused_with_what_to_write():
    with pytest.raises(ValueError, match=r"at least 2, .* count iterations: cycle_size='1ep' .* start_value_mult"):
        CosineAnnealing(start_value=1, end_value=0, cycle_size=1)


def test_the_last_value_holds_after_num_cycles():
    cosine = CosineAnnealing(start_value=1, end_value=0.1, cycle_size=4, warmup_duration=3, num_cycles=2)
    assert list(cosine.restarts(1000)) == [7]
    assert set(cosine.values(range(11, 30))) | {cosine(10**12)} == {0.1}
    assert cosine(6) > 0.5, "between the cycles it does warm up"
    triangle = LinearCyclical(start_value=0.2, end_value=1, cycle_size=4, num_cycles=2)
    assert set(triangle.values(range(8, 30))) == {0.2}, "a triangle ends where it began"


@pytest.mark.parametrize("mult", [0.5, 0.3])
def test_cycles_that_shrink_below_two_events_are_not_begun(mult):
    sizes = list(itertools.takewhile(lambda n: n >= 2, (exact_size(16, mult, k) for k in itertools.count())))
    schedule = CosineAnnealing(start_value=1, end_value=0.1, cycle_size=16, cycle_mult=mult)
    assert list(schedule.restarts(10**6)) == list(itertools.accumulate(sizes))[:-1]
    assert set(schedule.values(range(sum(sizes), 1000))) == {0.1}


def exact_size(size, mult, times):
    for _ in range(times):
        size = int(size * mult)
    return size


def test_a_multiplier_without_effect_warns():
    with pytest.warns(UserWarning, match=r"cycle_mult=1\.05 has no effect.*more than 1\.1"):
        schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=10, cycle_mult=1.05)
    assert list(schedule.restarts(40)) == [10, 20, 30]


def test_overflow_is_not_silent_zero_or_error():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=2, start_value_mult=2)
    assert math.isfinite(schedule(2000))
    assert not math.isfinite(schedule(2100))


def test_what_is_between_numbers_far_apart_is_finite():
    down = CosineAnnealing(start_value=1e308, end_value=-1e308, cycle_size=4, num_cycles=1)
    half = 1e308 * math.cos(math.pi / 4)
    np.testing.assert_allclose(down.values(range(6)), [1e308, half, 0, -half, -1e308, -1e308], rtol=1e-12, atol=1e293)
    for sign in (1, -1):
        fields = {"start_value": sign * 1e-300, "end_value": sign * 1e300}
        up = cosched.ExponentialAnnealing(**fields, cycle_size=6, num_cycles=1)
        expected = sign * 10.0 ** np.array([-300, -200, -100, 0, 100, 200, 300])
        np.testing.assert_allclose(up.values(range(7)), expected, rtol=1e-12)
        assert up.values([0, 6, 9]).tolist() == [expected[0], expected[-1], expected[-1]]
        assert [up(step) for step in range(7)] == up.values(range(7)).tolist()


GOOD = {"start_value": 1, "end_value": 0, "cycle_size": 10}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("start_value", math.nan, ValueError, "start_value=nan is not finite"),
        ("end_value", -math.inf, ValueError, "end_value=-inf is not finite"),
        ("start_value_mult", math.inf, ValueError, "start_value_mult=inf is not finite"),
        ("end_value_mult", math.nan, ValueError, "end_value_mult=nan is not finite"),
        ("cycle_mult", 0, ValueError, "cycle_mult=0.0 must be above 0"),
        ("cycle_mult", -1, ValueError, "cycle_mult=-1.0 must be above 0"),
        ("cycle_mult", math.nan, ValueError, "cycle_mult=nan is not finite"),
        ("cycle_size", 1, ValueError, "cycle_size=1 must be a whole number of at least 2"),
        ("cycle_size", 7.5, ValueError, "cycle_size=7.5 must be a whole number"),
        ("cycle_size", 2**53, ValueError, "cycle_size=9007199254740992 must be a whole number"),
        ("warmup_duration", -1, ValueError, "warmup_duration=-1 must be a whole number of at least 0"),
        ("num_cycles", 0, ValueError, "num_cycles=0 must be a whole number of at least 1"),
        ("start_value", "0.1", TypeError, "start_value='0.1' is not a number"),
        ("end_value", None, TypeError, "end_value=None is not a number"),
        ("cycle_mult", True, TypeError, "cycle_mult=True is not a number"),
        (
            "cycle_size",
            "10",
            ValueError,
            "cycle_size='10' is not a duration: an integer counts events; units are",
        ),
        ("endpoint", "yes", TypeError, "endpoint='yes' must be true or false"),
        ("cycle_size", True, TypeError, "cycle_size=True is not a number of events"),
    ],
)
def test_bad_fields_are_refused_by_name_and_value(shape, field, value, error, message):
    fields = {"monotonic": True} if shape is LinearCyclical else {}
    with pytest.raises(error, match=message.replace("(", r"\(")):
        shape(**{**GOOD, **fields, field: value})


def test_a_triangle_has_no_warmup():
    with pytest.raises(ValueError, match=r"warmup_duration=3 needs monotonic=True.*set monotonic=True or"):
        LinearCyclical(**GOOD, warmup_duration=3)


def test_numpy_and_tensor_scalars_become_plain_numbers():
    schedule = CosineAnnealing(start_value=np.float32(0.5), end_value=torch.tensor(0.25), cycle_size=np.int64(10))
    assert schedule == CosineAnnealing(start_value=0.5, end_value=0.25, cycle_size=10)
    assert {type(v) for v in (schedule.start_value, schedule.end_value)} == {float}
    assert type(schedule.cycle_size) is int


@pytest.mark.parametrize("steps", [-1, [0, -5], 1.5, [0.0], "3", 2**53, 10**30, [True]])
def test_steps_must_be_event_indices(steps):
    with pytest.raises(ValueError, match="must be event indices"):
        CosineAnnealing(**GOOD).values(steps)


def test_no_steps_no_values():
    assert CosineAnnealing(**GOOD).values([]).shape == (0,)
    assert CosineAnnealing(**GOOD).values(range(0)).dtype == np.float64


def test_a_schedule_cannot_be_modified():
    schedule = CosineAnnealing(**GOOD)
    with pytest.raises(AttributeError, match=r"cannot be modified.*replace\(it, cycle_size=...\)"):
        schedule.cycle_size = 5
    with pytest.raises(AttributeError, match="has no field 'cycle_mlt': did you mean 'cycle_mult'"):
        schedule.cycle_mlt = 5
