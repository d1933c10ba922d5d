"""Bounds of values without a look at each of them."""

import math

import numpy as np
import pytest
from strategies import SHAPES, flat, wild

import cosched
from cosched import CosineAnnealing, PiecewiseLinear, Schedule

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult")

every = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@every
@pytest.mark.parametrize("most", [100, pytest.param(400, marks=pytest.mark.slow)])
def test_bounds_enclose_all_values(shape, most):
    rng = np.random.default_rng(0)
    known = 0
    number = most if flat(shape) else most // 4
    for _ in range(number):
        schedule = wild(rng, shape, scale=10.0 ** rng.integers(-3, 3))
        for _ in range(6):
            first = int(10 ** rng.uniform(0, 4.5)) - 1
            events = range(first, first + int(10 ** rng.uniform(0, 3.5)))
            found = schedule.bounds(events)
            if found is None:
                continue
            low, high = found
            values = schedule.values(events)
            assert math.isfinite(low)
            assert math.isfinite(high)
            assert low <= values.min(), (schedule, events)
            assert values.max() <= high, (schedule, events)
            known += 1
    assert known > 2.5 * number, "most curves do not overflow"


@pytest.mark.parametrize("shape", [one for one in SHAPES.values() if flat(one)])
def test_bounds_of_one_event_are_its_value(shape):
    rng = np.random.default_rng(1)
    for _ in range(200):
        schedule = wild(rng, shape)
        factors = [value for name, value in vars(schedule).items() if name.endswith(("value_mult", "amplitude_mult"))]
        if max(map(abs, [*factors, getattr(schedule, "amplitude_decay", 1)])) > 1:
            continue  # what is small beside great numbers is not as exact
        for event in rng.integers(0, 3000, 5).tolist():
            value = schedule(event)
            if found := schedule.bounds(range(event, event + 1)):
                assert found == pytest.approx((value, value), rel=1e-9, abs=1e-9)


def test_bounds_reach_as_far_as_the_curve_does():
    schedule = CosineAnnealing(start_value=1, end_value=0.25, cycle_size=100, warmup_duration=10)
    assert schedule.bounds(range(10**15)) == pytest.approx((0.25, 1), rel=1e-12)
    assert schedule.bounds(range(50, 101)) == pytest.approx((0.25, 0.625), rel=1e-12)
    assert schedule.bounds(range(105, 110)) == pytest.approx((0.625, 0.25 + 0.75 * 0.9), rel=1e-12)
    growing = CosineAnnealing(start_value=1, end_value=0, cycle_size=100, start_value_mult=1.5)
    assert growing.bounds(range(1000)) == pytest.approx((0, 1.5**9), rel=1e-12)


def test_what_overflows_has_no_bounds():
    for fields in (
        {"start_value_mult": 2.0},
        {"end_value_mult": -3.0},
        {"amplitude_mult": 1.5},
        {"amplitude_decay": 1.1},
    ):
        schedule = CosineAnnealing(start_value=1, end_value=0.1, cycle_size=2, **fields)
        assert schedule.bounds(range(10**9)) is None
        assert schedule.bounds(range(10)) is not None
    far_apart = CosineAnnealing(start_value=1e308, end_value=-1e308, cycle_size=10)
    assert far_apart.bounds(range(10)) is None


def test_bounds_do_not_pass_zero_by_rounding():
    for end in (0.0, 1e-17, 0.1):
        for fields in ({}, {"start_value_mult": 0.9}, {"amplitude_mult": 0.7}, {"amplitude_decay": 0.999}):
            schedule = CosineAnnealing(start_value=0.3, end_value=end, cycle_size=7, warmup_duration=3, **fields)
            assert schedule.bounds(range(10**12))[0] >= 0
    down = PiecewiseLinear(milestones=[(0, 0.3), (10**6 + 1, 0.0)])
    assert down.bounds(range(10**9))[0] == 0


class Unknown(Schedule):
    def _values(self, steps):
        return np.sqrt(steps)


def test_a_shape_that_says_nothing_has_no_bounds():
    assert Unknown().bounds(range(9)) is None
    inside = cosched.Phases(phases={"a": CosineAnnealing(start_value=1, end_value=0, cycle_size=9)})
    assert inside.bounds(range(9)) is not None


def test_what_is_held_at_a_value_that_is_no_number_has_no_bounds():
    grown = cosched.ExponentialAnnealing(
        start_value=1, end_value=0.0065, cycle_size=2387, num_cycles=5, amplitude_decay=1.005
    )
    held = cosched.Phases(phases={"a": cosched.lasting(grown, 2)})
    with np.errstate(all="ignore"):
        assert np.isnan(held.values([3]))
    assert held.bounds(range(4)) is None
