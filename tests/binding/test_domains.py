"""Whether a parameter can take all values of a run, told without a look at each of them."""

import logging
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from strategies import SHAPES, flat, wild

import cosched
from cosched import CosineAnnealing, Phase, Phases, PiecewiseLinear, Scaled, Schedule
from cosched.binding import domains


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Short runs are long ones, where fewer events are evaluated at once."""
    monkeypatch.setattr(domains, "CHUNK", 8)


def first_wrong(schedule, num_events, name, scales):
    """The first event whose value, times a scale, the parameter cannot take."""
    low, high = {"lr": (0, np.inf), "momentum": (0, 1), "betas[1]": (0, 1)}.get(name, (-np.inf, np.inf))
    with np.errstate(all="ignore"):
        values = schedule.values(range(num_events))[:, None] * np.array(scales)
    right = np.isfinite(values) & (values >= low) & (values < high)
    wrong = np.flatnonzero(~right.all(axis=1))
    return int(wrong[0]) if wrong.size else None


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("most", [100, pytest.param(400, marks=pytest.mark.slow)])
def test_the_first_wrong_event_is_that_of_a_scan(shape, most):
    rng = np.random.default_rng(0)
    found = []
    number = most if flat(shape) else most // 4
    for _ in range(number):
        schedule = wild(rng, shape, scale=10.0 ** rng.integers(-2, 2))
        num_events = int(10 ** rng.uniform(0, 3.7))
        name = str(rng.choice(["lr", "momentum", "betas[1]", "other"]))
        scales = rng.choice([1.0, 0.1, 3.0], size=3).tolist()
        expected = first_wrong(schedule, num_events, name, scales)
        message = ""
        try:
            domains.check(schedule, num_events, domains.Domain(name=name, scales=scales))
        except ValueError as refused:
            message = str(refused)
        event = re.search(r"at event (\d+)", message)
        assert (event and int(event[1])) == expected, (schedule, num_events, name, message)
        found.append(expected is None)
    assert 0.05 < sum(found) / number < 0.95, "both kinds are tried"


@pytest.mark.parametrize("num_events", [10**4, 10**8, 10**12, None])
@pytest.mark.parametrize(
    "schedule",
    [
        CosineAnnealing(start_value=0.1, end_value=0, cycle_size=1000, cycle_mult=1.5, end_value_mult=0.5),
        CosineAnnealing(start_value=0.1, end_value=0, cycle_size=1000, amplitude_mult=0.9, warmup_duration=100),
        CosineAnnealing(start_value=0.1, end_value=0.01, cycle_size=10**9, amplitude_decay=0.999),
        PiecewiseLinear(milestones=[(10**9, 0.1), (10**10, 0.0)]),
        cosched.Phases(phases={"a": cosched.lasting(cosched.Constant(value=1), 99), "b": cosched.Constant(value=0)}),
    ],
)
def test_no_event_of_a_right_schedule_is_looked_at(schedule, num_events, monkeypatch):
    def evaluate(self, steps):
        raise AssertionError("evaluated")

    monkeypatch.setattr(Schedule, "values", evaluate)
    domains.check(schedule, num_events, domains.Domain(name="lr", scales=[1.0, 10.0]))


def test_a_wrong_event_far_away_is_named():
    down = CosineAnnealing(start_value=0.5, end_value=-0.5, cycle_size=2 * 10**11 + 2, endpoint=True)
    with pytest.raises(ValueError, match=r"lr is -[^ ]+ at event 1000000[0-9]{5}: it must be finite and at least 0"):
        domains.check(down, 10**12, domains.Domain(name="lr", scales=[1.0]))
    up = CosineAnnealing(start_value=0.5, end_value=0.1, cycle_size=10**6, start_value_mult=1.01)
    with pytest.raises(ValueError, match=r"momentum is 1.00338 at event 70000000: .* below 1"):
        domains.check(up, 10**12, domains.Domain(name="momentum", scales=[1.0]))  # 0.5 * 1.01**70 is the first above 1


def test_an_overflow_is_found():
    growing = CosineAnnealing(start_value=0.5, end_value=0.1, cycle_size=1000, start_value_mult=2)
    first = 1024 * 1000  # 2**1024 is beyond float64
    domains.check(growing, first, domains.Domain(name="lr", scales=[1.0]))
    with pytest.raises(ValueError, match=f"lr is inf at event {first}: it must be finite"):
        domains.check(growing, first + 1, domains.Domain(name="lr", scales=[1.0]))


@dataclass(kw_only=True)
class Stairs(Schedule):
    """A shape that says nothing about its bounds."""

    wrong: Any

    def _values(self, steps):
        return np.where(np.isin(steps, self.wrong), -1.0, 0.5)


def test_where_no_bounds_are_known_the_scan_is_limited(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "cosched")
    monkeypatch.setattr(domains, "SCANNED", 1000)
    monkeypatch.setattr(domains, "SAMPLED", 100)
    domains.check(Stairs(wrong=[]), 1000, domains.Domain(name="lr", scales=[1.0]))
    assert not caplog.records, "all of it is scanned"
    domains.check(Stairs(wrong=[5000]), 10**12, domains.Domain(name="lr", scales=[1.0]))
    [record] = caplog.records
    assert re.fullmatch(
        r"the bounds of Stairs are not known well enough: its first 100\d events were checked, and of the other 9+\d* "
        r"each \d+th",
        record.getMessage(),
    )
    for wrong in (0, 999, 10**12 - 1):
        with pytest.raises(ValueError, match=f"lr is -1 at event {wrong}: "):
            domains.check(Stairs(wrong=[wrong]), 10**12, domains.Domain(name="lr", scales=[1.0]))


def test_the_least_and_the_greatest_scale_are_what_counts():
    with pytest.raises(ValueError, match=r"momentum is 1.2 at event 0: "):
        domains.check(cosched.Constant(value=0.6), 10, domains.Domain(name="momentum", scales=[0.5, 2.0, 1.0]))
    with pytest.raises(ValueError, match=r"momentum is -0.6 at event 0: "):
        domains.check(cosched.Constant(value=0.6), 10, domains.Domain(name="momentum", scales=[0.5, -1.0, 1.0]))


@pytest.mark.filterwarnings("ignore:cycle_mult")
def test_cycles_that_shrink_to_nothing_are_told():
    shrinking = CosineAnnealing(start_value=1, end_value=0, cycle_size=8, cycle_mult=0.5)
    assert domains.shrinking(shrinking, 10**12) == [
        "cycles shrink to nothing at event 14: the value holds from there; use cycle_mult of at least 1"
    ]
    assert domains.shrinking(shrinking, 14) == []
    slowly = CosineAnnealing(start_value=1, end_value=0, cycle_size=10**9, cycle_mult=1 - 1e-8)
    assert domains.shrinking(slowly, 10**12) == []


def test_what_would_change_from_cycle_to_cycle_is_told_where_there_is_one_cycle():
    given = {"start_value": 1, "end_value": 0.5, "cycle_size": 4}
    changes = {"cycle_mult": 2, "start_value_mult": 0.5, "end_value_mult": 0.5, "amplitude_mult": 0.5}
    changes |= {"warmup_duration": 2}
    once = CosineAnnealing(**given, **changes, num_cycles=1)
    np.testing.assert_array_equal(once.values(range(20)), CosineAnnealing(**given, num_cycles=1).values(range(20)))
    assert {note.partition("=")[0] for note in domains.idle(once)} == changes.keys()
    for name in changes:
        one = {name: changes[name]}
        several = CosineAnnealing(**given, **one, num_cycles=2)
        assert domains.idle(several) == []
        assert (several.values(range(20)) != CosineAnnealing(**given, num_cycles=2).values(range(20))).any()
    assert domains.idle(CosineAnnealing(**given, num_cycles=1, endpoint=True, amplitude_decay=0.5)) == []


def test_a_field_without_effect_is_found_at_any_depth():
    phase = Phase(shape="cosine_annealing", start_value=1, end_value=0, start_value_mult=0.5)
    nested = Scaled(schedule=Phases(phases={"only": phase}), factor=2)
    (note,) = domains.idle(nested)
    assert note.startswith(
        "schedule.phases.only.start_value_mult=0.5 has no effect, as there is one cycle: set cycle_si"
    )


def test_a_run_warns_of_a_field_without_effect(sgd):
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=4, num_cycles=1, cycle_mult=2)
    with pytest.warns(UserWarning, match="^lr: cycle_mult=2.0 has no effect, as there is one"):
        cosched.TorchScheduler(sgd, schedule)
