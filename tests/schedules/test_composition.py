"""Schedules made of others, and what is refused in them."""

import pytest
from strategies import cosine, linear, then

from cosched import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    Phases,
    PiecewiseLinear,
    Scaled,
    lasting,
)
from cosched.schedules.phase import phase


def test_a_phase_of_no_events_is_left_out():
    one, rest = Constant(value=1), linear(1, 0, 9)
    assert then((rest, 0), (one, 3), (rest, 0), (rest, None)) != then((one, 3), (rest, None))
    both = then((rest, 0), (one, 3), (rest, 0), (rest, None)), then((one, 3), (rest, None))
    assert both[0].values(range(20)).tolist() == both[1].values(range(20)).tolist()
    with pytest.raises(ValueError, match="no events at all"):
        then((one, 0))(0)


def test_what_the_last_phase_has_reached_holds():
    once = then((cosine(1, 0.25, 10), 10))
    assert set(once.values(range(10, 50))) == {0.25}
    again = then((CosineAnnealing(start_value=1, end_value=0.25, cycle_size=5), 10))
    assert set(again.values(range(10, 50))) == {0.25}, "not the start of a cycle that is not begun"
    cut = then((cosine(1, 0, 10), 5))
    assert set(cut.values(range(5, 50))) == {0.5}


def test_units_count_in_the_whole_run_at_any_depth():
    inner = Phases(phases={"a": lasting(Constant(value=1), "25%"), "b": Constant(value=2)})
    outer = Phases(phases={"x": lasting(Constant(value=0), "10%"), "y": lasting(inner, "50%"), "z": Constant(value=3)})
    values = outer.resolve(epoch_length=10, max_epochs=10).values(range(100))
    assert [list(values).count(value) for value in (0, 1, 2, 3)] == [10, 25, 25, 40]


def test_a_cycle_without_a_size_lasts_as_long_as_its_phase():
    decay = phase(CosineAnnealing)
    phases = {"hold": lasting(Constant(value=1), "20%"), "decay": decay(start_value=1, end_value=0)}
    resolved = Phases(phases=phases).resolve(epoch_length=10, max_epochs=10)
    assert resolved.phases["decay"].cycle_size == 80
    nested = Phases(phases={"first": lasting(Phases(phases=phases), "60%"), "rest": Constant(value=0)})
    assert nested.resolve(epoch_length=10, max_epochs=10).phases["first"].phases["decay"].cycle_size == 40
    scaled = lasting(Scaled(schedule=decay(start_value=1, end_value=0)), "30%")
    third = Phases(phases={"scaled": scaled, "rest": Constant(value=0)}).resolve(epoch_length=10, max_epochs=10)
    assert third.phases["scaled"].schedule.cycle_size == 30
    with pytest.raises(ValueError, match=r"phases.decay.cycle_size is missing and would last to the end of the run"):
        Phases(phases={"decay": decay(start_value=1, end_value=0)}).resolve(epoch_length=10)


def test_scaled_and_clipped():
    schedule = Scaled(schedule=CosineAnnealing(start_value=1, end_value=0, cycle_size=10), factor=3, lower=0.5, upper=2)
    inner = CosineAnnealing(start_value=1, end_value=0, cycle_size=10).values(range(30))
    assert schedule.values(range(30)).tolist() == [min(max(3 * value, 0.5), 2) for value in inner]
    assert schedule.restarts(30).tolist() == [10, 20]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: linear(1, 0, 5, power=0), ValueError, "power=0.0 must be above 0"),
        (lambda: ExponentialAnnealing(start_value=1, end_value=0, cycle_size=5), ValueError, "end_value=0.0 cannot be"),
        (
            lambda: InverseSqrt(start_value=1, timescale=0),
            ValueError,
            "timescale=0 must be a whole number of at least 1",
        ),
        (lambda: PiecewiseLinear(milestones=[]), TypeError, r"milestones=\[\] must be a list of pairs"),
        (lambda: PiecewiseLinear(milestones=[[0, 1], 3]), TypeError, r"milestones\[1\]=3 must be a pair"),
        (lambda: PiecewiseLinear(milestones=[[0, 1], [0, 2]]), ValueError, "must ascend"),
        (lambda: PiecewiseLinear(milestones=[["3e", 1]]), ValueError, r"milestones\[0\]\[0\]='3e' is not a duration"),
        (lambda: PiecewiseLinear(milestones=[[3, "a"]]), TypeError, r"milestones\[0\]\[1\]='a' is not a number"),
        (lambda: Phases(phases={}), TypeError, "phases={} must map names to schedules"),
        (
            lambda: Phases(phases={"a": 3}),
            TypeError,
            "phases.a=3 is not a schedule: .*phase@scheduler.phases.a=",
        ),
        (lambda: then((Constant(value=1), None), (Constant(value=1), 3)), ValueError, "phases.p0.duration is missing"),
        (lambda: lasting(Constant(value=1), "3e"), ValueError, "duration='3e' is not a duration"),
        (lambda: Scaled(schedule=Constant(value=1), lower=2, upper=1), ValueError, r"lower=2\.0 is above upper=1\.0"),
        (lambda: Scaled(schedule=3), TypeError, "schedule=3 is not a schedule"),
        (lambda: Scaled(schedule=Constant(value=1), lower="a"), TypeError, "lower='a' is not a number"),
        (
            lambda: then((Constant(value=1), "1ep"), (Constant(value=1), None))(0),
            ValueError,
            "phases.p0.duration='1ep'",
        ),
    ],
)
def test_mistakes_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_phase_that_is_cut_holds_what_it_has_reached():
    warm = CosineAnnealing(start_value=1, end_value=0, cycle_size=10, warmup_duration=10, start_value_mult=0.8)
    whole = warm.values(range(41)).tolist()
    for end in (1, 9, 11, 15, 19, 20, 21, 35):
        held = {*then((warm, end)).values(range(end, end + 30)).tolist()}
        assert held == {whole[end]}, end
    assert {*then((warm, 10)).values(range(10, 40)).tolist()} == {0.0}
    limited = CosineAnnealing(start_value=1, end_value=0.25, cycle_size=10, warmup_duration=10, num_cycles=1)
    assert {*then((limited, 15)).values(range(10, 40)).tolist()} == {0.25}, "there is no warm-up after the last cycle"


def test_what_stands_inside_ends_as_it_would_alone():
    saw = CosineAnnealing(start_value=1, end_value=0.25, cycle_size=5)
    assert {*then((Scaled(schedule=saw, factor=2), 10)).values(range(10, 30)).tolist()} == {0.5}
    inner = then((cosine(1, 0.5, 10), 10), (Constant(value=7), None))
    assert {*then((inner, 10)).values(range(10, 30)).tolist()} == {0.5}, "not the phase that has not begun"
    assert {*Scaled(schedule=then((inner, 10)), upper=0.4).values(range(10, 30)).tolist()} == {0.4}


def test_nothing_decays_after_the_last_cycle():
    fields = {"start_value": 1, "end_value": 0, "cycle_size": 10, "amplitude_decay": 0.9}
    ended = CosineAnnealing(**fields, num_cycles=2)
    assert ended.values(range(20)).tolist() == CosineAnnealing(**fields).values(range(20)).tolist()
    held = {*ended.values(range(20, 99)).tolist(), ended(10**12)}
    assert len(held) == 1
    assert held.pop() == pytest.approx(1 - 0.9**20)
