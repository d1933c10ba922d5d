"""Phases that begin where the one before has ended, that are repeated, and that are entered within their curve."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import cosine, linear, schedules, then

from cosched import (
    Branched,
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    Phase,
    Phases,
    PiecewiseLinear,
    Scaled,
    lasting,
)
from cosched.binding.checkpoint import from_plain, to_plain
from cosched.schedules.durations import Run

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult")

law = settings(deadline=None, suppress_health_check=list(HealthCheck))

NUMBERS = st.floats(0.01, 10)
LENGTHS = st.integers(2, 40)


@st.composite
def going_on(draw):
    """A schedule whose start is left open."""
    end, size = draw(NUMBERS), draw(LENGTHS)
    fields = {"start_value": None, "end_value": end, "cycle_size": size, "num_cycles": draw(st.none() | st.just(1))}
    return draw(
        st.sampled_from(
            [
                CosineAnnealing(**fields),
                CosineAnnealing(**fields, warmup_duration=3, start_value_mult=0.7),
                ExponentialAnnealing(**fields),
                InverseSqrt(start_value=None, timescale=size),
                Constant(value=None),
                then((Constant(value=None), 3), (InverseSqrt(start_value=None, timescale=size), None)),
            ]
        )
    )


def known(schedule):
    try:
        schedule(0)
    except ValueError:
        return False
    return True


@law
@given(
    first=schedules().filter(known),
    rest=st.lists(st.tuples(going_on(), LENGTHS), min_size=1, max_size=4),
    data=st.data(),
)
def test_an_open_start_is_the_value_that_would_have_held(first, rest, data):
    length = data.draw(LENGTHS)
    phases = [(first, length), *rest]
    whole = then(*phases)
    values = whole.values(range(300))
    assert values.tolist() == [whole(i) for i in range(300)]
    assert values[::17].tolist() == [then(*phases)(i) for i in range(0, 300, 17)]
    for i in range(1, len(phases)):
        begins = sum(length for _, length in phases[:i])
        alone = then(*phases[:i])
        assert values[begins] == alone(begins), "what held, had nothing come after, to the last bit"
        assert values[:begins].tolist() == alone.values(range(begins)).tolist()
    assert whole.resolve().values(range(300)).tolist() == values.tolist()
    low, high = whole.bounds(range(300)) or (-math.inf, math.inf)
    assert low <= values.min() <= values.max() <= high


def starts(schedule):
    """Every start of a schedule and of those in it."""
    for field in dataclasses.fields(schedule):
        value = getattr(schedule, field.name)
        if field.name == "phases":
            for one in value.values():
                yield from starts(one)
        elif field.name in ("start_value", "value"):
            yield value


def test_a_resolved_schedule_shows_the_value():
    declared = Phases(
        phases={
            "warmup": Phase(shape="polynomial_annealing", start_value=0, end_value=0.3, duration="10%"),
            "stable": Phase(shape="constant", duration="50%"),
            "none": Phase(shape="constant", value=7, duration=0),
            "decay": Phase(shape="cosine_annealing", end_value=0),
        }
    )
    assert list(starts(declared)) == [0, None, 7, None]
    resolved = declared.resolve(epoch_length=10, max_epochs=10)
    assert list(starts(resolved)) == [0, 0.3, 7, 0.3]
    assert resolved.values([0, 10, 59, 60, 100]).tolist() == [0, 0.3, 0.3, 0.3, 0]
    plain = json.loads(json.dumps(to_plain(declared)))
    assert from_plain(plain) == declared
    assert plain["phases"]["decay"]["start_value"] is None


def test_a_group_of_phases_goes_on_from_what_is_before_it():
    inner = then((Constant(value=None), 0), (linear(None, 1, 4), 4), (Constant(value=None), 3))
    whole = then((linear(0, 0.5, 5), 5), (inner, 7), (cosine(None, 0, 10), None))
    flat = then((linear(0, 0.5, 5), 5), (linear(0.5, 1, 4), 4), (Constant(value=1), 3), (cosine(1, 0, 10), None))
    assert whole.values(range(40)).tolist() == flat.values(range(40)).tolist()
    again = then((whole, 15), (Constant(value=None), None))
    assert set(again.values(range(15, 30))) == {whole.values(range(16))[15]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cosine(None, 0, 5), "^start_value is missing, and nothing comes before it"),
        (lambda: Constant(value=None), "^value is missing, and nothing comes before it"),
        (lambda: then((Constant(value=1), 0), (cosine(None, 0, 5), 5)), "^phases.p1.start_value is missing, and noth"),
        (lambda: then((then((Constant(value=None), 5)), 5)), r"^phases.p0.phases.p0.value is missing, and nothing"),
        (lambda: then((Constant(value=1), 5), (Scaled(schedule=cosine(None, 0, 5)), 5)), "start_value is missing, and"),
        (
            lambda: then(
                (Constant(value=0), 5), (ExponentialAnnealing(start_value=None, end_value=1, cycle_size=5), 5)
            ),
            "^phases.p1.end_value=1.0 cannot be reached from start_value=0.0",
        ),
        (
            lambda: Phases(phases={"a": lasting(Constant(value=1), 5), "b": lasting(cosine(None, 0, 5), 5, skip=2)}),
            "^phases.b.start_value is missing, and skip=2 begins after the start",
        ),
    ],
)
def test_a_start_with_nothing_before_it_is_refused_by_name(make, message):
    schedule = make()
    for ask in (lambda: schedule(0), lambda: schedule.values(range(3)), lambda: schedule.resolve()(0)):
        with pytest.raises(ValueError, match=message):
            ask()


@pytest.mark.parametrize("schedule", [cosine(None, 0, 5), Constant(value=None), then((cosine(None, 0, 5), 5))])
def test_resolve_refuses_an_open_start(schedule):
    with pytest.raises(ValueError, match=r"is missing, and nothing comes before it .* give it a value"):
        schedule.resolve(epoch_length=10, max_epochs=10)


def test_an_exponential_curve_still_needs_an_end_that_factors_reach():
    with pytest.raises(ValueError, match=r"end_value=0.0 cannot be reached"):
        ExponentialAnnealing(start_value=None, end_value=0, cycle_size=5)


# Repeated phases


@law
@given(data=st.data(), count=st.integers(2, 5))
def test_repeated_phases_are_those_phases_written_out(data, count):
    inner = schedules(depth=1).filter(known)
    phases = data.draw(st.lists(st.tuples(inner, st.integers(1, 30)), min_size=1, max_size=3))
    once = then(*phases)
    period = sum(length for _, length in phases)
    repeated, endless = (dataclasses.replace(once, repeat=repeat) for repeat in (count, None))
    written = then(*phases * count)
    events = range(count * period + 50)
    assert repeated.values(events).tolist() == written.values(events).tolist() == [repeated(i) for i in events]
    assert repeated.restarts(len(events)).tolist() == written.restarts(len(events)).tolist()
    for part in (events, range(period - 1, 2 * period + 3), range(7, 8)):
        assert repeated.cycle_bounds(part) == written.cycle_bounds(part)
    assert [repeated.cycles(i) for i in events] == [written.cycles(i) for i in events]
    ends = range(1, count * period + 50)
    assert [repeated._reached(i) for i in ends] == [written._reached(i) for i in ends]
    within = range(count * period)
    assert endless.values(within).tolist() == written.values(within).tolist()
    assert endless.cycle_bounds(within) == written.cycle_bounds(within)
    steps = np.array([0, 1, period - 1]) + period * 10**6
    assert endless.values(steps).tolist() == once.values(steps % period).tolist()
    for first, length in ((0, 3 * period), (1, period // 2 + 1), (period - 1, 2), (period * 10**9, 2 * period)):
        part = range(first, first + length)
        low, high = endless.bounds(part) or (-math.inf, math.inf)
        values = endless.values(part)
        assert low <= values.min() <= values.max() <= high


def test_a_group_is_repeated_between_other_phases():
    group = Phases(
        phases={
            "hold": Phase(shape="constant", duration="20%"),
            "decay": Phase(shape="polynomial_annealing", end_value=0.1, duration="5%"),
            "back": Phase(shape="constant", value=1, duration="5%"),
        },
        repeat=2,
    )
    whole = Phases(
        phases={
            "warmup": lasting(linear(0, 1, 10), 10),
            "group": lasting(group, "60%"),
            "end": Phase(shape="cosine_annealing", end_value=0),
        }
    ).resolve(max_iters=100)
    down = linear(1, 0.1, 5)
    written = then(
        (linear(0, 1, 10), 10),
        *[(Constant(value=1), 20), (down, 5), (Constant(value=1), 5)] * 2,
        (cosine(1, 0, 30), None),
    )
    assert whole.values(range(120)).tolist() == written.values(range(120)).tolist()
    assert whole.restarts(120).tolist() == written.restarts(120).tolist()


@pytest.mark.parametrize("repeat", [2, 3, None])
def test_the_start_of_a_repetition_is_the_end_of_the_one_before(repeat):
    group = Phases(
        phases={"up": lasting(linear(None, 1, 4), 4), "down": lasting(cosine(None, 0.25, 6), 6)}, repeat=repeat
    )
    whole = then((Constant(value=0.5), 5), (group, None))
    later = [(linear(0.25, 1, 4), 4), (cosine(1, 0.25, 6), 6)]
    written = then(
        (Constant(value=0.5), 5), (linear(0.5, 1, 4), 4), (cosine(1, 0.25, 6), 6), *later * ((repeat or 5) - 1)
    )
    for schedule in (whole, whole.resolve(max_iters=55), whole.resolve(max_iters=55).resolve(max_iters=7)):
        assert schedule.values(range(55)).tolist() == written.values(range(55)).tolist()
        assert (
            schedule.restarts(55 if repeat is None else 99).tolist()
            == written.restarts(55 if repeat is None else 99).tolist()
        )
    with pytest.raises(ValueError, match=r"^phases.up.start_value is missing, and nothing comes before it"):
        group(0)


def test_repetitions_that_would_all_be_different_are_refused():
    group = Phases(phases={"fall": lasting(InverseSqrt(start_value=None, timescale=3), 4)}, repeat=3)
    with pytest.raises(
        ValueError, match=r"^phases.p1.phases.fall.start_value is missing, and the repetitions end at dif"
    ):
        then((Constant(value=1), 5), (group, 12))(0)
    twice = then((Constant(value=1), 5), (dataclasses.replace(group, repeat=2), 8))
    fall = InverseSqrt(start_value=1, timescale=3)
    assert twice.values(range(5, 9)).tolist() == fall.values(range(4)).tolist()
    assert twice(9) == fall(4)


def test_what_goes_on_to_the_end_cannot_be_repeated():
    with pytest.raises(
        ValueError, match=r"phases.b.duration is missing: a phase that goes on to the end cannot be repe"
    ):
        Phases(phases={"a": lasting(Constant(value=1), 5), "b": Constant(value=2)}, repeat=3)
    with pytest.raises(ValueError, match="repeat=0 must be a whole number of at least 1"):
        Phases(phases={"a": lasting(Constant(value=1), 5)}, repeat=0)
    with pytest.raises(ValueError, match="no events at all"):
        Phases(phases={"a": lasting(Constant(value=1), 0)}, repeat=None)(0)


# Phases that begin within their curve


@law
@given(one=schedules().filter(known), skip=st.integers(1, 50), first=st.integers(0, 20), length=st.integers(1, 60))
def test_a_skipped_part_is_not_there(one, skip, first, length):
    late = lasting(one, length, skip=skip)
    phases = Phases(phases={"first": lasting(Constant(value=1), first), "late": late, "rest": Constant(value=2)})
    curve = one.values(range(skip, skip + 200))
    assert late.values(range(200)).tolist() == curve.tolist() == [late(i) for i in range(200)]
    assert phases.values(range(first, first + length)).tolist() == curve[:length].tolist()
    assert (
        Scaled(schedule=lasting(one, None, skip=skip), factor=3).values(range(99)).tolist() == (3 * curve[:99]).tolist()
    )
    held = Phases(phases={"late": late})
    assert {*held.values(range(length, length + 9)).tolist()} == {lasting(one, None)._reached(skip + length)}
    assert late.restarts(200).tolist() == [event - skip for event in one.restarts(200 + skip) if event > skip]
    if bounds := late.bounds(range(5, 100)):
        assert bounds[0] <= curve[5:100].min() <= curve[5:100].max() <= bounds[1]
    started, ended = late.cycle_bounds(range(200))
    assert list(started) == [0, *late.restarts(200)]
    assert list(started.values()) == [*range(1, late.cycles(200) + 1)]
    assert set(ended) - {0} == {event - skip for event in one.cycle_bounds(range(skip + 200))[1] if event > skip}
    assert sorted(ended.values()) == [*range(1, len(ended) + 1)]


def test_a_skip_has_units_and_lengthens_a_cycle_without_a_size():
    decay = Phase(shape="polynomial_annealing", start_value=1, end_value=0, skip="10%", duration="30%")
    resolved = Phases(phases={"decay": decay}).resolve(epoch_length=10, max_epochs=10)
    assert (resolved.phases["decay"].skip, resolved.phases["decay"].cycle_size) == (10, 40)
    assert resolved.values([0, 10, 30, 50]).tolist() == [0.75, 0.5, 0.0, 0.0]
    points = lasting(PiecewiseLinear(milestones=[[0, 0], ["1ep", 1]]), None, skip="5it")
    inside = then((linear(0, 1, 20), None))
    for one, value in (
        (points, 0.5),
        (lasting(inside, None, skip="1ep"), 0.5),
        (lasting(Scaled(schedule=inside), 9, skip="1ep"), 0.5),
    ):
        assert Phases(phases={"one": one}).resolve(epoch_length=10)(0) == value
        with pytest.raises(
            ValueError, match=r"^phases.one.skip='\w+' is not a number of events until the run is known"
        ):
            Phases(phases={"one": one})(0)


# A branch, as a pure schedule


def test_units_of_a_branch_count_what_is_left():
    decay = Phase(shape="polynomial_annealing", end_value=0)
    branch = Phases(phases={"hold": Phase(shape="constant", duration="25%"), "decay": decay})
    declared = Branched(phases={"trunk": lasting(linear(0, 1, 100), 60), "branch": branch})
    resolved = declared.resolve(epoch_length=10, max_epochs=10)
    assert [one.duration for one in resolved.phases["branch"].phases.values()] == [10, None]
    assert resolved.phases["branch"].phases["decay"].cycle_size == 30
    assert resolved.values([59, 60, 70, 85, 100]).tolist() == [0.59, 0.6, 0.6, 0.3, 0]
    deeper = Branched(phases={"trunk": lasting(resolved, 85), "branch": lasting(cosine(None, 1, "100%"), None)})
    again = deeper.resolve(epoch_length=10, max_epochs=20)
    assert again.phases["trunk"].phases == resolved.phases, "what has been resolved stays"
    assert again.phases["branch"].cycle_size == 115
    assert again.values(range(86)).tolist() == [*resolved.values(range(85)), 0.3]


@pytest.mark.parametrize("per_epoch", [False, True])
@pytest.mark.parametrize("given", [{"max_epochs": 10}, {"max_iters": 95}, {}])
def test_what_is_left_of_a_run(given, per_epoch):
    run = Run(per_epoch=per_epoch, epoch_length=10, **given)
    left = run.after(3)
    assert left.num_events == (run.num_events and run.num_events - 3)
    assert (left.epoch_length, left.per_epoch) == (10, per_epoch)
    assert not given or run.after(1000).num_events == 0
