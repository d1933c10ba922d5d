"""The picture of what a run has applied: where it goes on from an earlier run, and where its values jump."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cosched import CosineAnnealing, PolynomialAnnealing, draw_applied
from cosched.sweeps.design import GREY

EARLIER = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=45).values(range(45))
FALL = PolynomialAnnealing(start_value=0.1, end_value=0, cycle_size=45).values(range(45))


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw a run that leaves another at iteration 45: its figure."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_: figures.append(self))

    def draw(later, first=0):
        applied = [[value] for value in [*EARLIER, *later]][first:]
        declared = [[value] for value in [*np.full(45, 7.0), *later]][first:]
        draw_applied(tmp_path / "a.png", {"lr": declared}, {"lr": applied}, 90, 15, {}, "app: x=1", {"lr": 45})
        return figures[0]

    return draw


def points(axes, label, figure):
    """The points of the line that a legend says to be something."""
    (legend,) = figure.legends
    style = dict(zip([text.get_text() for text in legend.get_texts()], legend.get_lines(), strict=True))[label]
    (line,) = [one for one in axes.lines if one.get_color() == style.get_color()]
    pairs = np.array([line.get_xdata(), line.get_ydata()], float).T
    return pairs[np.isfinite(pairs).all(axis=1)].tolist()


@pytest.mark.parametrize("first", [0, 30])
def test_before_a_run_left_another_that_one_is_drawn_alone_and_a_jump_is_a_jump(drawn, first):
    figure = drawn(FALL, first)
    (axes,) = figure.axes
    before = [[i, value] for i, value in enumerate(EARLIER)][first:]
    after = [[45.0 + i, value] for i, value in enumerate(FALL)]
    assert points(axes, "the run before", figure) == before
    assert points(axes, "declared", figure) == points(axes, "applied", figure) == after
    assert {one.get_color() for one in axes.lines} >= {GREY}
    (faint,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    assert [one.tolist() for one in faint.get_segments()] == [[[45, EARLIER[44]], [45, 0.1]]]


def test_where_the_values_go_on_so_does_the_line(drawn):
    figure = drawn(np.linspace(EARLIER[44], 0, 46)[1:])
    (axes,) = figure.axes
    assert points(axes, "declared", figure)[0] == [44, EARLIER[44]] == points(axes, "the run before", figure)[-1]


def test_the_title_says_when(drawn):
    figure = drawn(FALL)
    assert figure.get_suptitle().startswith("app: x=1, 20")
    assert figure.get_figwidth() == 12


def test_the_run_before_jumps_where_its_cycles_began(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_: figures.append(self))
    before = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=15).values(range(45)).tolist()
    both = {"lr": [[value] for value in [*before, *FALL]]}
    draw_applied(tmp_path / "a.png", both, both, 90, 15, {}, "app", {"lr": 45})
    (trunk,) = [one for one in figures[0].axes[0].lines if one.get_color() == GREY]
    gaps = np.flatnonzero(~np.isfinite(trunk.get_ydata()))
    assert (gaps - np.arange(2)).tolist() == [15, 30]
