"""What pictures show, read off matplotlib's own objects."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cosched.sweeps.curves import curve
from cosched.sweeps.design import Line, designed, scores
from cosched.sweeps.outcomes import Outcome
from cosched.sweeps.pictures import Page, draw_applied, draw_curves

COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 0.1, "end_value": 0.001, "cycle_size": 20}


def line(overrides=None, score=None, jobs=1, path="scheduler", **fields):
    given = {key.rpartition(".")[2]: float(value) for key, value in (overrides or {}).items() if "." in key}
    c = curve(path, {**COSINE, **given, **fields}, 10, 10)
    label = " ".join(f"{key}={value}" for key, value in (overrides or {}).items())
    return Line(curve=c, label=label, overrides=overrides or {}, score=score, jobs=jobs)


def sweep(**keys):
    named = {f"scheduler.{key}": values for key, values in keys.items()}
    return [line(dict(zip(named, values, strict=True))) for values in product(*named.values())]


@pytest.fixture
def figures(monkeypatch):
    """Every figure that would be saved."""
    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args: seen.append(self))
    return seen


def axes_of(figure):
    return [axes for axes in figure.axes if axes.get_xlabel().endswith("(from 0)") and axes.get_visible()]


def test_two_keys_are_a_colour_and_a_dash(tmp_path, figures):
    lines = sweep(cycle_mult=["1", "1.5", "2"], start_value_mult=["1", "0.8"])
    draw_curves(tmp_path / "a.png", lines)
    (axes,) = axes_of(figures[0])
    drawn = axes.lines
    assert len(drawn) == 6
    colors = [to_hex(one.get_color()) for one in drawn]
    assert colors[0] == colors[1] != colors[2] == colors[3] != colors[4] == colors[5]
    assert drawn[0].get_linestyle() != drawn[1].get_linestyle() == drawn[3].get_linestyle()
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *(f"cycle_mult={value}" for value in ("1", "1.5", "2")),
        *(f"start_value_mult={value}" for value in ("0.8", "1")),
    ]


@pytest.mark.parametrize(
    ("keys", "panels", "scaled"),
    [
        ({"cycle_mult": ["1", "2"]}, 1, False),
        ({"cycle_mult": [str(1 + i / 50) for i in range(40)]}, 1, True),
        ({"cycle_mult": ["1", "2"], "start_value_mult": ["1", "0.8"], "end_value": ["0", "0.01", "0.02"]}, 2, False),
        ({"start_value": [str(i) for i in range(1, 21)], "cycle_mult": ["1", "1.5", "2"]}, 3, True),
    ],
)
def test_many_curves_stand_in_axes_of_their_own_or_in_a_scale_of_colours(keys, panels, scaled):
    lines = sweep(**keys)
    design = designed(lines)
    facets = [design.facet(one) for one in lines]
    assert len(set(facets)) == panels
    assert design.scaled is scaled
    assert scaled or max(map(facets.count, facets)) <= 12
    shown = {(design.facet(one), one.named(design.color), design.dash and one.named(design.dash)) for one in lines}
    assert len(shown) == len(lines)  # no two look alike


def test_a_relative_schedule_and_another_parameter_have_panels_of_their_own(tmp_path, figures):
    lines = [line(), line(relative=True), line(path="other", param_name="momentum")]
    draw_curves(tmp_path / "a.png", lines)
    labels = [axes.get_ylabel() for axes in axes_of(figures[0])]
    assert labels == ["scheduler:\nlr", "scheduler:\nlr (times each group's own)", "other:\nmomentum"]


def test_the_values_of_the_groups_that_a_relative_schedule_multiplies_have_a_panel(tmp_path, figures):
    one = replace(line(relative=True), groups={"0": 0.5, "1": 2.0, "2": 0.5, "head": 8.0})
    draw_curves(tmp_path / "a.png", [one])
    times, groups = axes_of(figures[0])
    assert [times.get_ylabel(), groups.get_ylabel()] == ["lr (times each group's own)", "lr of the groups"]
    (own,) = (drawn.get_ydata() for drawn in times.lines)
    for drawn, value in zip(groups.lines, (0.5, 2, 8), strict=True):
        np.testing.assert_array_equal(drawn.get_ydata(), own * value)
    assert [text.get_text() for text in groups.texts] == ["groups 0, 2: 0.5", "group 1: 2", "head: 8"]


def test_of_very_many_groups_the_least_and_the_greatest_are_drawn(tmp_path, figures):
    one = replace(line(relative=True), groups={f"g{i}": 2.0**i for i in range(30)})
    draw_curves(tmp_path / "a.png", [one])
    _, groups = axes_of(figures[0])
    assert [np.nanmax(drawn.get_ydata()) for drawn in groups.lines] == pytest.approx([0.1, 0.1 * 2**29])
    assert [text.get_text() for text in groups.texts] == ["g0: 1", "g29: 5.37e+08"]
    assert groups.get_yscale() == "log"


@pytest.mark.parametrize(
    ("target", "log", "scale"),
    [
        ("CosineAnnealing", None, "linear"),
        ("CosineAnnealing", True, "log"),
        ("ExponentialAnnealing", None, "log"),
        ("ExponentialAnnealing", False, "linear"),
    ],
)
def test_the_axis_is_logarithmic_where_a_curve_is_exponential_or_on_demand(tmp_path, figures, target, log, scale):
    one = line(_target_=f"cosched.{target}Scheduler")
    draw_curves(tmp_path / "a.png", [one], Page(log=log))
    (axes,) = axes_of(figures[0])
    assert axes.get_yscale() == scale


def test_names_stand_at_the_ends_of_lines_that_end_apart(tmp_path, figures):
    apart = [line({"scheduler.end_value": value}, cycle_size=200) for value in ("0.001", "0.04", "0.08")]
    together = [line({"scheduler.start_value": value}, cycle_size=100) for value in ("0.1", "0.2")]
    for lines, names in ((apart, [f"end_value={one.named('scheduler.end_value')}" for one in apart]), (together, [])):
        figures.clear()
        draw_curves(tmp_path / "a.png", lines)
        (axes,) = axes_of(figures[0])
        assert [text.get_text() for text in axes.texts] == names
        assert len(figures[0].legends) == (not names)


def test_scores_colour_the_curves_the_best_on_top_and_failed_jobs_are_marked(tmp_path, figures):
    scores = {("1", "1"): 0.1, ("1", "2"): 0.3, ("2", "1"): None, ("2", "2"): 0.2}
    keys = ("scheduler.cycle_mult", "scheduler.start_value_mult")
    lines = [line(dict(zip(keys, values, strict=True)), score=score) for values, score in scores.items()]
    results = [Outcome(one.overrides, one.score, "failed") for one in lines]
    heights = {}
    for maximize in (True, False):
        figures.clear()
        draw_curves(tmp_path / "a.png", lines, Page(maximize=maximize), results)
        (axes,) = axes_of(figures[0])
        heights[maximize] = [one.get_zorder() for one in axes.lines]
        assert to_hex(axes.lines[2].get_color()) == "#b0b0b0"
        texts = [text.get_text() for part in figures[0].subfigs for axes in part.axes for text in axes.texts]
        assert sorted(texts) == ["0.1", "0.2", "0.3", "failed"]
    # Without a score below all others; else the order of the scores, or the other way round.
    assert np.argsort(heights[True]).tolist() == [2, 0, 3, 1]
    assert np.argsort(heights[False]).tolist() == [2, 1, 3, 0]


def test_a_curve_of_several_jobs_is_drawn_once_in_the_colour_of_their_mean(tmp_path, figures):
    scores = {("1", "0"): 0.1, ("1", "1"): 0.3, ("2", "0"): 0.6, ("2", "1"): None}
    keys = ("scheduler.cycle_mult", "seed")
    lines = [
        replace(line({keys[0]: values[0]}, score=score), overrides=dict(zip(keys, values, strict=True)))
        for values, score in scores.items()
    ]
    results = [Outcome(one.overrides, one.score, "none") for one in lines]
    draw_curves(tmp_path / "a.png", lines, Page(maximize=True), results)
    (axes,) = axes_of(figures[0])
    known = [0.1, 0.3, 0.6]
    expected = [colormaps["viridis"]((mean - min(known)) / (max(known) - min(known))) for mean in (0.2, 0.6)]
    assert [one.get_color() for one in axes.lines] == [pytest.approx(color) for color in expected]
    texts = [text.get_text() for text in axes.texts]  # at the lines' ends
    assert texts == ["cycle_mult=1: 0.2 (2 jobs)", "cycle_mult=2: 0.6 (2 jobs)"]
    assert "none" in [text.get_text() for part in figures[0].subfigs for axes in part.axes for text in axes.texts]


def test_each_schedule_is_explained_by_its_own_overrides_alone(tmp_path, figures):
    values = list(product(("0.1", "0.2"), ("0.5", "0.6", "0.7")))
    lines = []
    for start, end in values:
        overrides = {"s.a.start_value": start, "s.b.end_value": end}
        made = line(path="s.a", start_value=float(start)), line(path="s.b", param_name="momentum", end_value=float(end))
        lines += [replace(one, overrides=overrides) for one in made]
    draw_curves(tmp_path / "a.png", lines)
    first, second = axes_of(figures[0])
    assert [len(axes.lines) for axes in (first, second)] == [2, 3]
    legend = first.get_legend()
    assert [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())] == [
        "start_value",
        "0.1",
        "0.2",
    ]
    assert [text.get_text() for text in second.texts] == ["end_value=0.5", "end_value=0.6", "end_value=0.7"]


def test_more_curves_than_can_be_told_apart_have_axes_of_their_own(tmp_path, figures):
    lines = [replace(line(cycle_size=10 + i), overrides={"scheduler": f"preset{i}"}) for i in range(14)]
    draw_curves(tmp_path / "a.png", lines)
    drawn = axes_of(figures[0])
    assert [axes.get_title() for axes in drawn] == [f"scheduler=preset{i}" for i in range(14)]
    assert {len(axes.lines) for axes in drawn} == {1}
    figures[0].draw_without_rendering()
    named = [axes for axes in drawn if axes.xaxis.label.get_visible()]
    assert named == drawn[-5:], "those without other axes below"


def test_of_three_keys_or_more_the_results_are_drawn_against_each(tmp_path, figures):
    lines = sweep(cycle_mult=["1", "2"], start_value=["0.01", "0.5"], end_value=["0", "0.001"])
    lines = [replace(one, score=float(i)) for i, one in enumerate(lines)]
    draw_curves(tmp_path / "a.png", lines, None, [Outcome(one.overrides, one.score, "") for one in lines])
    panels = figures[0].subfigs[-1].axes
    assert [axes.get_xlabel() for axes in panels] == [
        f"scheduler.{k}" for k in ("cycle_mult", "start_value", "end_value")
    ]
    (points,) = panels[0].lines
    assert points.get_xydata().tolist() == [[1 + i // 4, i] for i in range(8)]
    assert [axes.get_xscale() for axes in panels] == ["linear", "log", "linear"]


def test_a_score_far_from_all_others_does_not_make_them_all_alike(tmp_path, figures):
    bar = scores([0.1, 0.2, 0.3, 0.4, 1000.0], maximize=False)
    assert (bar.norm.vmin, bar.norm.vmax) == (0.1, 0.4)
    assert bar.cmap.colorbar_extend == "max"


def test_a_key_without_numbers_has_its_names_below_its_results(tmp_path, figures):
    scores = (("conv", 0.5), ("mlp", 0.75), ("none", None))
    results = [Outcome({"model": name}, score, "failed") for name, score in scores]
    draw_curves(tmp_path / "a.png", [line(score=0.5)], None, results)
    axes = figures[0].subfigs[-1].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["conv", "mlp", "none"]
    (points,) = [one for one in axes.lines if one.get_marker() == "o"]
    assert points.get_ydata().tolist() == [0.5, 0.75]
    assert [text.get_text() for text in axes.texts] == ["failed"]


def test_title_epochs_assumptions_and_twins_are_said(tmp_path, figures):
    lines = [line({"scheduler.cycle_mult": "1"}, jobs=3), line({"scheduler.cycle_mult": "2"})]
    draw_curves(tmp_path / "a.png", lines, Page(title="app", epoch_length=10, note="assumed 10 epochs x 10"))
    title, _, written = figures[0].get_suptitle().partition(", ")
    assert title == "app"
    assert abs(datetime.now() - datetime.fromisoformat(written)) < timedelta(days=1)
    assert (
        figures[0].get_supxlabel()
        == "assumed 10 epochs x 10; 4 curves, 2 of them different: each of these is drawn once"
    )
    (axes,) = axes_of(figures[0])
    figures[0].draw_without_rendering()
    (top,) = axes.child_axes
    assert top.get_xlabel() == "epochs"
    np.testing.assert_allclose(top.get_xlim(), np.array(axes.get_xlim()) / 10)


def test_what_was_applied_is_drawn_at_the_events_that_a_preview_has(tmp_path, figures):
    c = line().curve
    values = [[value] for value in c.schedule.values(range(40)).tolist()]
    draw_applied(tmp_path / "a.png", {"lr": values}, {"lr": values}, 100, 10, {"lr": [80]})
    (axes,) = axes_of(figures[0])
    for one in axes.lines:
        x, y = np.asarray(one.get_xdata(), float), np.asarray(one.get_ydata(), float)
        there = np.isfinite(y)
        assert x[there].tolist() == list(range(60, 100))
        assert np.flatnonzero(~there).tolist() == [20]


def test_both_files_are_written_and_named(tmp_path):
    files = draw_curves(tmp_path / "a.png", [line()])
    assert [file.name for file in files] == ["a.png", "a.svg"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in files[1].read_text()


def test_a_scale_of_numbers_has_those_of_twins_too(tmp_path, figures):
    lines = sweep(cycle_mult=[str(1 + i / 50) for i in range(40)])
    first = {}
    for i, one in enumerate(lines):
        first.setdefault(one.curve.values.tobytes(), i)
    assert len(first) < 40
    draw_curves(tmp_path / "a.png", lines)
    (axes,) = axes_of(figures[0])
    greatest = max(first.values())
    expected = [colormaps["viridis"](i / greatest) for i in first.values()]
    assert [one.get_color() for one in axes.lines] == [pytest.approx(color) for color in expected]
