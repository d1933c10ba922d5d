"""What others wrote, in tables, pictures and files: text is text."""

import csv
import warnings

import numpy as np
import pytest

from cosched.sweeps.curves import curve
from cosched.sweeps.design import Line
from cosched.sweeps.outcomes import Outcome
from cosched.sweeps.pictures import draw_applied, draw_curves
from cosched.sweeps.text import attempt, for_csv, plain, told, write_csv, write_curves

NASTY = ["[/data/a]", "[red]x", "$x$ and $y$", "$\\frac{1", ":smile:", "_private", "%s {0}", "a\\$b", "x" * 500]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cycle_mult=2 ▁█ ß 学", "cycle_mult=2 ▁█ ß 学"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\u202eright to left\x9b", "\\u202eright to left\\x9b"),
        ("lone \udcff", "lone \\udcff"),
    ],
)
def test_characters_that_cannot_be_seen_are_escaped(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@sum", " =1", "\uff1d1", "\uff0b1", "-1-1", "=", "--1"])
def test_a_cell_is_no_formula(text):
    assert for_csv(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.1", "+1e-3", "-inf", "1-2", "a=b", "", "x=-1"])
def test_a_cell_that_is_a_number_or_text_stays_as_it_is(text):
    assert for_csv(text) == text


def test_a_csv_file_has_other_cells_as_they_are(tmp_path):
    write_csv(tmp_path / "a.csv", [("+key", "=1"), (-1, None), (float("nan"), 'say "\x1b", ß\udcff')])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["'+key", "'=1"], ["-1", ""], ["nan", 'say "\\x1b", ß\\udcff']]


def test_the_table_of_curves_is_read_as_it_was_written(tmp_path):
    values = np.array([0.1, -1e-17, np.nan, 1 / 3])
    curves = [((0, 'a, "b"'), np.arange(4), values), ((1, "=1+1"), np.array([7]), np.array([np.inf]))]
    write_curves(tmp_path / "a.csv", ("job", "schedule", "event", "value"), curves)
    with (tmp_path / "a.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["job", "schedule", "event", "value"]
    assert [row[:3] for row in rows] == [*(["0", 'a, "b"', str(i)] for i in range(4)), ["1", "'=1+1", "7"]]
    assert np.array_equal([float(row[3]) for row in rows], [*values, np.inf], equal_nan=True)


FIELDS = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 1, "end_value": 0, "cycle_size": 10}


@pytest.mark.slow
def test_a_picture_is_drawn_whatever_the_names_are(tmp_path):
    curves = [curve("scheduler", {**FIELDS, "cycle_size": 10 + i}, 1, 30) for i in range(len(NASTY))]
    draw_curves(tmp_path / "labels.png", [Line(curve=c, label=text) for c, text in zip(curves, NASTY, strict=True)])
    draw_curves(
        tmp_path / "key.png", [Line(curve=curves[i], label="", overrides={"$x$[b]$": str(i)}) for i in range(2)]
    )
    named = [curve("$[b]$", {**FIELDS, "param_name": name}, 1, 30) for name in ("$x$", "$\\frac{1")]
    lines = [Line(curve=c, label="a", score=score) for c, score in zip(named, (0.5, np.inf), strict=True)]
    scores = (("$1", 0.5), ("$2", np.nan), ("3", np.inf))
    results = [Outcome({"$a$": value, "$b": "$2"}, score, "$\\frac") for value, score in scores]
    draw_curves(tmp_path / "results.png", lines, None, [*results, Outcome({"$a$": "3", "$b": "$3"}, 1.0, "")])
    draw_applied(tmp_path / "applied.png", {"$x$ $": [[1.0], [2.0]]}, {"$x$ $": [[1.0], [2.0]]}, 2, 10)
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_control_characters_in_a_picture_need_no_glyphs(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = ("\x1b[31m", "b")
        lines = [Line(curve=curve("a", {**FIELDS, "end_value": 0.5 * i}, 1, 30), label=t) for i, t in enumerate(texts)]
        draw_curves(tmp_path / "a.png", lines)


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (KeyError("k"), "KeyError: 'k'"),
        (MuteError(), "MuteError: "),
        (ValueError(), "ValueError: "),
    ],
)
def test_an_error_is_told_in_a_line(error, line):
    assert told(error) == line


def test_an_attempt_that_fails_is_told_and_what_follows_goes_on(caplog):
    with attempt("writing x.csv"):
        raise OSError(28, "No space left on device")
    assert caplog.messages == ["writing x.csv failed: OSError: [Errno 28] No space left on device"]
