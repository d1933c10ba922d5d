"""What is kept of a run: peaks, troughs and a fingerprint, from all of its events or, of a long one, from some."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosched import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    Phases,
    PiecewiseLinear,
    PolynomialAnnealing,
    Scaled,
    Schedule,
    SqrtAnnealing,
    lasting,
)
from cosched.sweeps.sampling import BUCKETS, EXACT, first_restarts, sample, sparse

LONG = [10**10, 10**12, 2**53 - 1]


def extremes(events, values, num_events):
    """The least and the greatest of the values in each of the stretches."""
    starts = np.searchsorted(events, np.arange(0, num_events, -(-num_events // BUCKETS)))
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def peaks_and_troughs_are_kept(kept, schedule, num_events, tolerance=0.0):
    events, values, _ = kept
    everything = schedule.values(range(num_events))
    assert len(events) <= 2 * BUCKETS + 1
    assert (np.diff(events) > 0).all()
    np.testing.assert_array_equal(values, everything[events])
    assert events[-1] == num_events - 1
    expected = extremes(np.arange(num_events), everything, num_events)
    for found, exact in zip(extremes(events, values, num_events), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance * np.ptp(everything[np.isfinite(everything)]))


@given(st.integers(1, 40_000), st.integers(2, 3000), st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_a_sample_is_small_and_keeps_every_peak_and_trough(num_events, size, mult):
    schedule = LinearCyclical(start_value=0.1, end_value=1, cycle_size=size, cycle_mult=mult, end_value_mult=0.9)
    peaks_and_troughs_are_kept(sample(schedule, num_events), schedule, num_events)


@st.composite
def cyclical(draw):
    shapes = [CosineAnnealing, LinearCyclical, PolynomialAnnealing, SqrtAnnealing, ExponentialAnnealing]
    shape = draw(st.sampled_from(shapes))
    fields = {
        "start_value": draw(st.sampled_from([0.1, 1.0])),
        "end_value": draw(st.sampled_from([0.001, 0.5, 2.0])),
        "cycle_size": draw(st.sampled_from([2, 3, 7, 100, 1001, 30_000, 10**6])),
        "cycle_mult": draw(st.sampled_from([1, 1, 1.5, 2, 0.9, 1.01])),
        "start_value_mult": draw(st.sampled_from([1, 1, 0.9, 1.001])),
        "end_value_mult": draw(st.sampled_from([1, 1, 0.9, 1.001])),
        "amplitude_mult": draw(st.sampled_from([1, 1, 0.9])),
        "amplitude_decay": draw(st.sampled_from([1, 1, 1 - 1e-5])),
        "endpoint": draw(st.booleans()),
        "num_cycles": draw(st.sampled_from([None, None, 3])),
    }
    if shape is LinearCyclical:
        fields["monotonic"] = draw(st.booleans())
    if fields.get("monotonic", True):
        fields["warmup_duration"] = draw(st.sampled_from([0, 0, 1, 50]))
    return shape(**fields)


others = st.one_of(
    st.builds(InverseSqrt, start_value=st.just(1.0), timescale=st.sampled_from([1, 1000])),
    st.builds(Constant, value=st.just(0.3)),
    st.lists(st.integers(0, 400_000), min_size=1, max_size=20, unique=True).map(
        lambda at: PiecewiseLinear(milestones=[[event, (7 * i) % 5 / 4] for i, event in enumerate(sorted(at))])
    ),
)
simple = st.one_of(cyclical(), cyclical(), others)
scaled = st.builds(Scaled, schedule=simple, factor=st.just(2.0), upper=st.sampled_from([None, 0.7]))
phases = st.lists(
    st.tuples(st.one_of(simple, scaled), st.sampled_from([1, 10, 999, 70_001])), min_size=2, max_size=5
).map(lambda parts: Phases(phases={str(i): lasting(*part) for i, part in enumerate(parts)}))


@pytest.mark.filterwarnings("ignore:cycle_mult")
@settings(max_examples=50, derandomize=True)  # a sample cannot be right without exception, but a picture shows none
@given(st.one_of(simple, scaled, phases), st.sampled_from([120_000, 300_001]))
@pytest.mark.slow
def test_what_is_kept_of_a_long_run_is_what_an_evaluation_of_all_events_finds(schedule, num_events):
    peaks_and_troughs_are_kept(sparse(schedule, num_events), schedule, num_events, tolerance=0.01)


def test_a_shape_that_is_not_ours_keeps_its_peaks_and_troughs():
    class Wave(Schedule):
        def _values(self, steps):
            return np.sin(steps / 50_000) ** 3

    peaks_and_troughs_are_kept(sparse(Wave(), 400_000), Wave(), 400_000, tolerance=1e-9)


@pytest.mark.parametrize("num_events", LONG)
def test_the_shortest_peaks_of_the_longest_runs_are_kept(num_events):
    peak = num_events // 3
    spike = {"before": lasting(Constant(value=0.1), peak), "peak": lasting(Constant(value=9), 1)}
    schedule = Phases(
        phases={**spike, "after": lasting(CosineAnnealing(start_value=1, end_value=0, cycle_size=10), None)}
    )
    events, values, _ = sample(schedule, num_events)
    assert events[values == 9].tolist() == [peak]
    after = slice(BUCKETS // 3 + 2, None)
    low, high = extremes(events, values, num_events)
    assert (high[after] == 1).all(), "the start of a cycle is in each stretch"
    assert low[after] == pytest.approx(np.full(len(low[after]), (1 - np.cos(0.1 * np.pi)) / 2)), "and its last event"


@pytest.mark.parametrize("num_events", LONG)
def test_only_some_of_the_events_of_a_long_run_are_evaluated(num_events, monkeypatch):
    evaluated = []
    values = Schedule.values
    monkeypatch.setattr(Schedule, "values", lambda self, steps: evaluated.append(len(steps)) or values(self, steps))
    for fields in ({"cycle_size": 2}, {"cycle_size": 999, "cycle_mult": 1.2}, {"cycle_size": num_events}):
        evaluated.clear()
        sample(LinearCyclical(start_value=1, end_value=0.1, start_value_mult=0.999, **fields), num_events)
        assert sum(evaluated) < EXACT / 8


@pytest.mark.parametrize("num_events", [EXACT, *LONG])
def test_the_same_values_have_the_same_fingerprint_however_they_are_said(num_events):
    half = num_events // 2
    ramp, flat = LinearCyclical(start_value=0, end_value=1, cycle_size=half, monotonic=True), Constant(value=1)
    said = [
        Phases(phases={"a": lasting(ramp, half), "b": lasting(flat, None)}),
        LinearCyclical(start_value=0, end_value=1, cycle_size=half, monotonic=True, num_cycles=1),
        Scaled(schedule=LinearCyclical(start_value=0, end_value=1, cycle_size=half, monotonic=True, num_cycles=1)),
    ]
    assert len({sample(schedule, num_events)[2] for schedule in said}) == 1
    cycles = {"start_value": 1, "end_value": 0.1, "cycle_size": 10}
    said = [CosineAnnealing(**cycles), CosineAnnealing(**cycles, num_cycles=num_events)]
    assert len({sample(schedule, num_events)[2] for schedule in said}) == 1


@pytest.mark.parametrize("num_events", LONG)
def test_other_values_have_another_fingerprint_however_few_they_are(num_events):
    def phases(first, second):
        parts = {"a": lasting(Constant(value=1), first), "b": lasting(Constant(value=5), second)}
        return Phases(phases={**parts, "c": lasting(CosineAnnealing(start_value=3, end_value=0, cycle_size=10), None)})

    half = num_events // 2
    different = [phases(0, 0), phases(1, 0), phases(2, 0), phases(half, 0), phases(half + 1, 0), phases(half, 1)]
    different += [phases(half, 2), phases(num_events, 0), phases(num_events - 1, 0), phases(num_events - 1, 1)]
    assert len({sample(schedule, num_events)[2] for schedule in different}) == len(different)


def test_memory_is_bounded_for_long_runs():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=2)
    schedule(0)
    tracemalloc.start()
    try:
        sample(schedule, 3_000_000)
        first_restarts(schedule, 3_000_000, 4)
        _, exact = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        sample(schedule, 10**12)
        first_restarts(schedule, 10**12, 4)
        _, sampled = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert exact < 3_000_000 * 8 / 2, "less than half of the values at once"
    assert sampled < EXACT * 8, "as if there were no more events than are evaluated whole"


def test_the_first_restarts_are_found_without_listing_all():
    wait = 10**11
    then = CosineAnnealing(start_value=1, end_value=0, cycle_size=2)
    schedule = Phases(phases={"wait": lasting(Constant(value=1), wait), "then": lasting(then, None)})
    assert first_restarts(schedule, 10**12, 4) == [wait, wait + 2, wait + 4, wait + 6]
    assert first_restarts(schedule, wait, 4) == []
    assert first_restarts(then, 7, 9) == [2, 4, 6]
