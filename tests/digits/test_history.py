"""The rows of a history: what is written, what is read, and what is refused."""

import json
import re

import pytest
from helpers import history, train_tiny

from cosched import ConfigError, CosineAnnealing
from cosched.digits import training
from cosched.digits.history import VALIDATED, rows_until

GOOD = ["iteration,epoch,lr,train_loss", "1,1,0.1,2.5", "2,1,0.2,nan", "3,1,,1.5"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "history.csv"


def test_rows_are_read_up_to_an_iteration(file):
    torn = ["4,1,0.3", "\0,", "4,1"]
    file.write_text("\n".join([*GOOD, *torn]))
    for iteration in (1, 2, 3):
        assert [row["iteration"] for row in rows_until(file, iteration)] == [str(i) for i in range(1, iteration + 1)]
    assert rows_until(file, 3)[2] == {"iteration": "3", "epoch": "1", "lr": "", "train_loss": "1.5"}


def test_they_may_begin_later(file):
    file.write_text("\n".join([GOOD[0], *GOOD[2:]]))
    assert len(rows_until(file, 3)) == 2


@pytest.mark.parametrize(("lines", "last"), [(GOOD, "3"), (GOOD[:1], "none"), ([], "none"), (None, "none")])
def test_rows_that_do_not_reach_the_checkpoint_are_refused(file, lines, last):
    if lines is not None:
        file.write_text("\n".join(lines))
    message = f"{file} ends at iteration {last}, before the checkpoint of iteration 30: restore the file, or resume"
    with pytest.raises(ConfigError, match=re.escape(message)):
        rows_until(file, 30)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (0, "iter,epoch,lr,train_loss", "row 1 is damaged: 'iteration'"),
        (2, "5,1,0.2,2.5", "row 2 is damaged: iteration 5 does not follow 1"),
        (2, "1,1,0.2,2.5", "row 2 is damaged: iteration 1 does not follow 1"),
        (2, "2,1,0.2", "row 2 is damaged: it has not as many values as the header"),
        (2, "2,1,0.2,2.5,7", "row 2 is damaged: it has not as many values as the header"),
        (2, "2.5,1,0.2,2.5", "row 2 is damaged: invalid literal for int"),
        (3, "3,1,abc,2.5", "row 3 is damaged: could not convert string to float: 'abc'"),
        (3, "\udcff,1,0.1,2.5", "row 1 is damaged: 'utf-8' codec can't decode"),
    ],
)
def test_a_damaged_row_is_told(file, line, text, message):
    lines = [*GOOD]
    lines[line] = text
    file.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=re.escape(f"{file}: {message}") + ".*; restore the file$"):
        rows_until(file, 3)


def test_a_gap_stops_a_run_before_it_writes(stopped):
    file = stopped / "history.csv"
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join(rows[:21]))
    with pytest.raises(ConfigError, match="ends at iteration 20, before the checkpoint of iteration 30: restore"):
        train_tiny(stopped, f"resume_from={stopped}")
    assert len(history(stopped)) == 20
    train_tiny(stopped, f"resume_from={stopped / 'checkpoint_15.pt'}", "trainer.max_epochs=2")
    assert file.read_text().splitlines(keepends=True) == rows


def test_a_checkpoint_alone_begins_a_history_of_its_own(stopped, tmp_path, caplog):
    lone = tmp_path / "lone"
    lone.mkdir()
    (stopped / "checkpoint_30.pt").rename(lone / "best.pt")
    train_tiny(tmp_path / "new", f"resume_from={lone / 'best.pt'}", "trainer.max_epochs=3")
    assert "there is no history.csv beside" in caplog.text
    assert "that of this run begins after iteration 30" in caplog.text
    assert [int(row["iteration"]) for row in history(tmp_path / "new")] == list(range(31, 46))
    train_tiny(tmp_path / "new", f"resume_from={tmp_path / 'new'}", "trainer.max_epochs=4")
    assert [int(row["iteration"]) for row in history(tmp_path / "new")] == list(range(31, 61))


def test_the_last_row_of_each_epoch_has_what_was_validated(tmp_path, stopped):
    accuracy = train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    rows = history(stopped)
    assert [int(row["iteration"]) for row in rows if row["val_accuracy"] and row["val_loss"]] == [15, 30, 45]
    metrics = json.loads((stopped / "metrics.json").read_text())
    assert float(rows[-1]["val_accuracy"]) == accuracy == metrics["val_accuracy"]


def test_a_relative_schedule_has_a_column_for_each_group(tmp_path):
    groups = ["+param_groups.base.lr=0.1", "+param_groups.fc.lr=0.01", "scheduler.relative=true"]
    factors = ["scheduler.start_value=1", "scheduler.end_value=0.5", "trainer.max_epochs=1"]
    train_tiny(tmp_path, *groups, *factors)
    rows = history(tmp_path)
    assert list(rows[0]) == ["iteration", "epoch", "lr (base)", "lr (fc)", "train_loss", *VALIDATED]
    expected = CosineAnnealing(start_value=1, end_value=0.5, cycle_size=15).values(range(15))
    assert [float(row["lr (base)"]) for row in rows] == pytest.approx(0.1 * expected, rel=1e-12)
    assert [float(row["lr (fc)"]) for row in rows] == pytest.approx(0.01 * expected, rel=1e-12)


def test_the_picture_of_a_run_is_told_where_cycles_begin(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(training, "draw_applied", lambda *given: drawn.append(given))
    cosine = ["scheduler=cosine_annealing", "scheduler.start_value=0.1", "scheduler.end_value=0"]
    train_tiny(tmp_path, *cosine, "scheduler.cycle_size=2", "scheduler.event=EPOCH_STARTED", "trainer.max_epochs=5")
    ((*_, restarts, title, before),) = drawn
    assert restarts == {"lr": [30, 60]}
    assert title == tmp_path.name, "where Hydra has not started it"
    assert before == {"lr": 0}


POLICIES = ["config", "checkpoint", "branch"]


@pytest.mark.parametrize(
    ("policy", "event", "left"),
    [(p, "ITERATION_STARTED", 30 * (p != "checkpoint")) for p in POLICIES] + [("branch", "EPOCH_STARTED", 30)],
)
def test_the_picture_of_a_run_that_goes_on_shows_what_was_applied_before(tmp_path, monkeypatch, policy, event, left):
    cosine = ["scheduler=cosine_annealing", "scheduler.start_value=0.1", "scheduler.end_value=0"]
    cosine += ["scheduler.cycle_size=2", "scheduler.cycle_mult=2", f"scheduler.event={event}"]
    train_tiny(tmp_path / "before", *cosine, "trainer.max_epochs=2")
    drawn = []
    monkeypatch.setattr(training, "draw_applied", lambda *given: drawn.append(given))
    other = [*cosine, "scheduler.start_value=0.3", f"scheduler.on_mismatch={policy}", "trainer.max_epochs=4"]
    train_tiny(tmp_path / "after", *other, f"resume_from={tmp_path / 'before'}")
    train_tiny(tmp_path / "after", *other, "trainer.max_epochs=5", f"resume_from={tmp_path / 'after'}")
    for _, declared, applied, *_, before in drawn:
        assert before == {"lr": left}, "and it stays so when the run goes on in its folder"
        assert declared["lr"][left:] == applied["lr"][left:]
        assert applied["lr"][:30] == [[float(row["lr"])] for row in history(tmp_path / "before")]
