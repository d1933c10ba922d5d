"""A curve in a line of text: what it shows is what the schedule does, and no cycle is lost."""

import numpy as np
import pytest

from cosched.sweeps.curves import curve
from cosched.sweeps.line import parts, restarts, sparkline

COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 1, "end_value": 0, "cycle_size": 100}
UP = {"_target_": "cosched.Phase", "shape": "polynomial_annealing", "start_value": 0, "end_value": 1, "duration": "10%"}
DOWN = {"_target_": "cosched.Phase", "shape": "cosine_annealing", "start_value": 1, "end_value": 0}


def lit(text):
    """By column which of its four dots are lit, the lowest first."""
    dots = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
    return [[bool(ord(letter) - 0x2800 & dot) for dot in column] for letter in text for column in dots]


def drawn(fields, epochs=10, epoch_length=100, width=24):
    return lit(sparkline(curve("scheduler", {**COSINE, **fields}, epochs, epoch_length), width))


def test_what_falls_is_drawn_from_the_upper_left_to_the_lower_right():
    columns = drawn({"cycle_size": 1000})
    heights = [np.mean(np.flatnonzero(column)) for column in columns]
    assert heights[0] == 3
    assert heights[-1] == 0
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("cycles", [1, 2, 10, 15, 16])
def test_each_restart_is_seen(cycles):
    columns = drawn({"cycle_size": 16}, epochs=1, epoch_length=16 * cycles)
    tops = [column[3] for column in columns]
    begun = sum(now and not before for now, before in zip(tops, [False, *tops], strict=False))
    assert begun == cycles


def test_more_cycles_than_columns_are_a_band():
    assert all(map(all, drawn({"cycle_size": 5})))


def test_fewer_events_than_columns_leave_no_gap():
    columns = drawn({"event": "EPOCH_STARTED", "cycle_size": 5}, epochs=5)
    assert all(map(any, columns))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e308])
def test_what_is_constant_is_a_straight_line(value):
    fields = {"_target_": "cosched.ConstantScheduler", "value": value}
    columns = lit(sparkline(curve("scheduler", fields, 1, 100), 10))
    assert len({tuple(column) for column in columns}) == 1
    assert sum(columns[0]) == 1


def test_values_that_are_not_finite_leave_gaps():
    with np.errstate(all="ignore"):
        found = curve("scheduler", {**COSINE, "start_value_mult": 1e200, "cycle_size": 10}, 1, 100)
    columns = lit(sparkline(found, 10))
    assert any(map(any, columns))
    assert not any(columns[-1])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "10 cycles"),
        ({"cycle_size": 1000}, "1 cycle"),
        ({"_target_": "cosched.ConstantScheduler", "value": 1}, ""),
        ({"_target_": "cosched.PhasesScheduler", "phases": {"up": UP, "down": DOWN}}, "2 phases"),
        (
            {
                "_target_": "cosched.PhasesScheduler",
                "phases": {"up": UP, "down": {**DOWN, "num_cycles": 9, "cycle_size": 300}},
            },
            "2 phases, 3 cycles",
        ),
    ],
)
def test_cycles_and_phases_are_counted_apart(fields, said):
    given = fields if "_target_" in fields else {**COSINE, **fields}
    assert parts(curve("scheduler", given, 10, 100)) == said


def test_the_first_restarts_are_named():
    assert restarts(curve("scheduler", COSINE, 10, 100)) == "100, 200, 300, …"
    phases = {"up": UP, "down": {**DOWN, "cycle_size": "40%"}}
    once = {"_target_": "cosched.PhasesScheduler", "param_name": "lr", "phases": phases}
    assert restarts(curve("scheduler", once, 10, 100)) == "", "a phase that begins is no restart"
    again = {**once, "phases": {**phases, "down": {**phases["down"], "num_cycles": None}}}
    assert restarts(curve("scheduler", again, 10, 100)) == "100, 500, 900"
