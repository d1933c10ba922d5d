"""What a sweep prints: a table where there is room, else records; nothing is broken, nothing is markup."""

import re
import sys

import pytest

from cosched.sweeps.screen import Row, Screen

NASTY = ["[/data/a]", "[red]x", "$x$ and $y$", "$\\frac{1", ":smile:", "_private", "%s {0}", "a\\$b"]
SPARE = ("last", "max", "min")


def shown(capsys, width, monkeypatch, rows, notes=(), spare=SPARE):
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Screen("a [title]", spare, numbers=("job", *spare))
    screen.rows += rows
    for job, note in enumerate(notes):
        screen.notes.mark([note], job)
    screen.show(whose=True)
    return capsys.readouterr().out


def jobs(count, **overrides):
    line = {"curve": "⡇" * 24, "min": "0.001024", "max": "0.1", "last": "0.001024"}
    return [Row(head={"job": str(i)}, overrides=overrides, lines=[line], style="red") for i in range(count)]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_what_is_shown_has_no_markup_and_fits_the_terminal(width, monkeypatch, capsys):
    rows = [
        Row(head={"job": str(i)}, overrides={"text": text}) for i, text in enumerate([*NASTY, "\x1b[31m", "x" * 500])
    ]
    out = shown(capsys, width, monkeypatch, rows, notes=["[/b] of a note that is so long that it takes two lines " * 2])
    assert max(map(len, out.splitlines())) <= width
    assert "\x1b" not in out
    for text in [*NASTY, "\\x1b[31m", "a [title]"]:
        assert text in out


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, ["job", "cycle_mult", "start_value", "curve", "min", "max", "last"]),
        (80, ["job", "cycle_mult", "start_value", "curve", "min", "max"]),
        (70, ["job", "cycle_mult", "start_value", "curve", "min"]),
        (60, ["job", "cycle_mult", "start_value", "curve"]),
    ],
)
def test_columns_that_can_be_missed_go_first(width, columns, monkeypatch, capsys):
    out = shown(capsys, width, monkeypatch, jobs(2, cycle_mult="1.5", start_value="0.0001"))
    assert out.splitlines()[2].split() == columns


def test_where_a_table_has_no_room_each_job_is_a_record_and_no_value_is_broken(monkeypatch, capsys):
    overrides = {f"scheduler.momentum.key_{i}": f"0.12345678{i}" for i in range(4)}
    out = shown(capsys, 80, monkeypatch, jobs(3, **overrides))
    assert out.count("⡇" * 24) == 3
    for name, value in overrides.items():
        assert out.count(f"{name}={value}") == 3
    assert max(map(len, out.splitlines())) <= 80


def test_a_footnote_has_a_number_and_names_its_jobs(monkeypatch, capsys):
    screen = Screen("t")
    marks = [screen.notes.mark(texts, job) for job, texts in enumerate([["a"], ["b", "a"], [], ["a"], ["a"], ["a"]])]
    assert marks == ["[1]", "[1,2]", "", "[1]", "[1]", "[1]"]
    screen.show(whose=True)
    out = capsys.readouterr().out
    assert re.search(r"^\[1\] a \(jobs 0, 1, 3-5\)$", out, re.MULTILINE)
    assert re.search(r"^\[2\] b \(job 1\)$", out, re.MULTILINE)


def test_a_table_is_shown_where_the_encoding_lacks_its_letters(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdout", file)
        screen = Screen("t")
        screen.rows.append(Row(head={"job": "0"}, lines=[{"curve": "⡇⡇⡇", "parts": "ß ok"}]))
        screen.show()
    shown = (tmp_path / "out").read_text(encoding="ascii")
    assert "? ok" in shown
    assert "??" not in shown, "a curve of question marks"


def test_the_curves_of_records_begin_in_one_column(monkeypatch, capsys):
    lines = [{"schedule": name, "curve": "⡇" * 24} for name in ("lr", "weight_decay")]
    row = Row(head={"job": "0"}, overrides={"key": "v" * 70}, lines=lines)
    out = shown(capsys, 80, monkeypatch, [row])
    assert {line.index("⡇") for line in out.splitlines() if "⡇" in line} == {len("  weight_decay  ")}
