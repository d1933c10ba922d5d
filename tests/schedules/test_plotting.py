"""What a schedule's picture shows: each value, and jumps where there are jumps."""

import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cosched import Constant, CosineAnnealing, CosineAnnealingScheduler, LinearCyclical, Phases, lasting


def drawn(schedule, num_events=None):
    axes = schedule.plot(num_events, Figure().subplots(), color="black")
    (line,) = axes.lines
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), axes


def test_each_value_is_drawn_and_the_line_ends_where_a_cycle_jumps():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=20, cycle_mult=2)
    x, y, axes = drawn(schedule, 100)
    there = np.isfinite(y)
    np.testing.assert_array_equal(x[there], np.arange(100))
    np.testing.assert_array_equal(y[there], schedule.values(range(100)))
    ends = np.flatnonzero(~there) - np.arange(2)  # in events
    assert ends.tolist() == [20, 60]
    (jumps,) = axes.collections
    assert [segment[:, 1].tolist() for segment in jumps.get_segments()] == [
        [schedule(19), 1.0],
        [schedule(59), 1.0],
    ]


def test_a_single_event_before_a_jump_is_a_dot():
    values = {"a": (2, 1), "b": (1, 8), "c": (3, 1)}
    alone = Phases(phases={name: lasting(Constant(value=value), count) for name, (value, count) in values.items()})
    axes = alone.plot(10, Figure().subplots())
    (line,) = axes.lines
    x, y = line.get_xydata()[line.get_markevery()].T
    assert line.get_marker() == "o"
    assert x.tolist() == [0, 9]
    assert y.tolist() == [2, 3]
    axes = Constant(value=1).plot(10, Figure().subplots())
    assert axes.lines[0].get_marker() == "None"


@pytest.mark.parametrize(
    "schedule",
    [
        LinearCyclical(start_value=0, end_value=1, cycle_size=20),
        CosineAnnealing(start_value=1, end_value=0, cycle_size=20, warmup_duration=10),
        Phases(phases={"a": lasting(Constant(value=1), 10), "b": lasting(Constant(value=1), None)}),
    ],
)
def test_a_restart_that_is_no_jump_does_not_end_the_line(schedule):
    _, y, _ = drawn(schedule, 100)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("schedule", "events"),
    [
        (CosineAnnealing(start_value=1, end_value=0, cycle_size=20), 60),
        (Phases(phases={"a": lasting(Constant(value=1), 50), "b": lasting(Constant(value=0), None)}), 100),
        (Constant(value=1), 1000),
    ],
)
def test_about_three_cycles_are_shown_unless_asked_otherwise(schedule, events):
    x, y, _ = drawn(schedule)
    assert x[np.isfinite(y)].size == events


def test_a_notebook_shows_a_schedule_and_a_bound_one():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    bound = CosineAnnealingScheduler(optimizer, "lr", 1, 0, 20)
    assert bound._repr_svg_().count("<svg") == 1
    assert bound.schedule._repr_svg_().count("<svg") == 1


def test_what_cannot_be_drawn_yet_says_why_and_shows_nothing_in_a_notebook(monkeypatch):
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size="10ep")
    assert schedule._repr_svg_() is None
    with pytest.raises(ValueError, match="cycle_size='10ep' is not a number of events until the run is known"):
        schedule.plot(10, Figure().subplots())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert CosineAnnealing(start_value=1, end_value=0, cycle_size=10)._repr_svg_() is None


def test_what_a_picture_needs_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"^schedule\.plot\(\) needs matplotlib: pip install "):
        Constant(value=1).plot()
