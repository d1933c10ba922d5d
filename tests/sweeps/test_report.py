"""The callback ``hydra/callbacks=schedule_report``, in an app that is not ours: its table and the exit status."""

import contextlib
import csv
import json
import math
import os
import re
import sys
from decimal import Decimal

import numpy as np
import pytest
import torch
from helpers import Run
from omegaconf import OmegaConf

from cosched import CosineAnnealing
from cosched.sweeps import report, summary
from cosched.sweeps.results import collect, number

REPORT = "hydra/callbacks=schedule_report"

sketched = pytest.mark.usefixtures("sketched")


def rows(folder):
    with (folder / "out/sweep.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(out):
    """The cells of the table on the terminal by column, a row per job or curve."""
    lines = out.splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith(" ──"))
    end = next(i for i in range(rule + 1, len(lines)) if not lines[i].strip())
    shown = [lines[rule - 1], *lines[rule + 1 : end]]
    blank = "".join(" " if set(column) == {" "} else "x" for column in zip(*shown, strict=True))
    spans = [match.span() for match in re.finditer("x+( {1,2}x+)*", blank)]
    names, *rows = ([line[first:last].strip() for first, last in spans] for line in shown)
    return [dict(zip(names, row, strict=True)) for row in rows]


def ranked(out):
    """The rows of those jobs that the table names."""
    return [row for row in table(out) if row["job"]]


def complete_table(run, folder):
    """The rows of the file, which are those on the terminal too."""
    table = rows(folder)
    assert sorted(row["job"] for row in ranked(run.out)) == sorted(row["job"] for row in table)
    return table


def test_the_report_on_a_sweep_with_failed_jobs(app, folder):
    run = app(REPORT, "do=score,fail", "train.schedule.cycle_mult=1,2", "hydra.callbacks.schedule_report.maximize=true")
    assert run.status == 1, "for a job failed"
    table = complete_table(run, folder)
    assert [(row["job"], row["do"], row["train.schedule.cycle_mult"]) for row in table] == [
        (str(2 * i + j), do, str(j + 1)) for i, do in enumerate(("score", "fail")) for j in range(2)
    ]
    schedules = [CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=m) for m in (1, 2)]
    values = [schedule(50) for schedule in schedules]
    assert [float(row["value"]) for row in table[:2]] == values
    assert [(row["value"], row["error"]) for row in table[2:]] == [("", "RuntimeError: as asked")] * 2
    assert len({row["fingerprint"] for row in table}) == 2
    best = "10" if values[1] > values[0] else "01"
    shown = [(row["rank"], row["job"]) for row in ranked(run.out)]
    assert shown == [("1", best[0]), ("2", best[1]), ("", "2"), ("", "3")]
    assert (folder / "out/sweep.png").read_bytes().startswith(b"\x89PNG")
    state = json.loads((folder / "out/1/schedule.json").read_text())
    assert state["schedules"]["train.schedule"]["restarts"][:3] == [15, 45, 105]
    assert state["schedules"]["train.schedule"]["fields"]["cycle_mult"] == 2.0
    assert (folder / "out/1/schedule.png").exists()


@pytest.mark.slow
def test_the_report_on_a_sweep_in_other_processes(folder):
    """A job ends its process, one raises what cannot be pickled."""
    command = [sys.executable, "app.py", "-m", "hydra.sweep.dir=out", REPORT, "hydra/launcher=joblib"]
    run = Run(*command, "hydra.launcher.n_jobs=2", "do=score,odd,exit", "seed=1,2", cwd=folder)
    assert run.status == 1
    assert "Traceback" not in run.err
    table = complete_table(run, folder)
    assert [bool(row["value"]) for row in table] == [True, True, False, False, False, False]
    assert [row["error"] for row in table[2:4]] == ["Odd: 1 and 2"] * 2
    assert ["sys.exit(0)" in row["error"] for row in table[4:]] == [True] * 2


@pytest.mark.slow
def test_a_killed_worker_leaves_a_table_of_what_is_known(folder):
    command = [sys.executable, "app.py", "-m", "hydra.sweep.dir=out", REPORT, "hydra/launcher=joblib"]
    run = Run(*command, "hydra.launcher.n_jobs=2", "do=score,os_exit", cwd=folder)
    assert run.status == 1
    assert "the launcher has lost a process" in run.err
    assert "Traceback" not in run.err
    table = complete_table(run, folder)
    assert [row["job"] for row in table] == ["0", "1"]
    assert table[1]["error"] == "has left no result: it is still running, or was killed"


@sketched
@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (
            {
                "not_a_number": "nan",
                "infinite": "-inf",
                "nothing": "",
                "text": "",
                "decimal": "0.25",
                "scalar": "0.5",
                "array": "0.75",
                "delete": "2.0",
                "damage": "3.0",
                "foreign": "4.0",
            },
            0,
        ),
        (
            {
                "delete_and_fail": "RuntimeError: as asked",
                "damage_and_fail": "RuntimeError: as asked",
                "mute": "Mute: ",
                "exit": "RuntimeError: the job called sys.exit(0) instead of returning",
                "exit_3": "RuntimeError: the job called sys.exit(3) instead of returning",
            },
            1,
        ),
    ],
)
@pytest.mark.slow
def test_whatever_jobs_do_all_are_in_the_table_and_the_status_is_right(app, folder, outcomes, status):
    run = app(REPORT, f"do={','.join(outcomes)}", "train.schedule.cycle_mult=1")
    assert run.status == status
    table = complete_table(run, folder)
    assert [row["do"] for row in table] == list(outcomes)
    shown = {row["job"]: row["value"] for row in ranked(run.out)}
    for row, outcome in zip(table, outcomes.values(), strict=True):
        assert (row["value"], row["error"]) == (("", outcome) if status else (outcome, ""))
        assert shown[row["job"]] == ("failed" if status else f"{float(outcome):g}" if outcome else "none")
        assert not status or outcome in run.out, "among the footnotes"


@sketched
@pytest.mark.slow
def test_nan_ranks_behind_all_values_and_before_no_value(app):
    best = "hydra.callbacks.schedule_report.maximize=true"  # then minus infinity is the worst of numbers
    run = app(REPORT, "do=nothing,not_a_number,fail,infinite", best)
    assert [row["value"] for row in ranked(run.out)] == ["-inf", "nan", "none", "failed"]
    assert [row["rank"] for row in ranked(run.out)] == ["1", "2", "", ""]
    assert run.status == 1


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1.0),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([0.5], requires_grad=True), 0.5),
        (torch.tensor(2, dtype=torch.int8), 2.0),
        (np.array(0.5), 0.5),
        (np.array([[3]]), 3.0),
        (np.float64(0.1), 0.1),
        (Decimal("0.1"), 0.1),
        (-math.inf, -math.inf),
        (10**400, None),
        (Decimal("sNaN"), None),
        (torch.tensor([1.0, 2.0]), None),
        (np.array("0.5"), None),
        (np.True_, None),
        (True, None),
        ("0.5", None),
        (b"1", None),
        (None, None),
        ([0.5], None),
        (1j, None),
        ({}, None),
    ],
)
def test_what_is_a_number_is_read_as_one(value, read):
    assert number(value) == read


@sketched
@pytest.mark.slow
def test_names_are_text_in_a_report_on_jobs_that_all_failed(app, folder):
    notes = ["[/data/a]", "$x$ and $y", "=1+1", "\x1b[31mred", "-1"]
    run = app(REPORT, "do=fail", "note=" + ",".join(f"'{note}'" for note in notes), "+extra=1")
    assert run.status == 1
    shown = ["[/data/a]", "$x$ and $y", "=1+1", "\\x1b[31mred", "-1"]
    for note in shown:
        assert f" '{note}' " in run.out
    assert "\x1b" not in run.out
    assert "\x1b" not in (folder / "out/sweep.csv").read_text()
    table = rows(folder)
    assert [row["note"] for row in table] == [f"'{note}'" for note in shown]
    assert "'+extra" in table[0]
    assert (folder / "out/sweep.png").exists()


@sketched
@pytest.mark.parametrize("names", [["sweep.csv"], ["sweep.png", "sweep.csv", "0/schedule.json"]])
@pytest.mark.slow
def test_a_full_disk_does_not_change_the_status(app, folder, caplog, names):
    (folder / "out/0").mkdir(parents=True)
    for name in names:
        (folder / "out" / name).symlink_to("/dev/full")
    for do, status in (("fail", 1), ("score", 0)):
        with (
            pytest.warns(UserWarning, match="on_job_start raised OSError")
            if len(names) == 3
            else contextlib.nullcontext()
        ):
            run = app(REPORT, f"do={do}", "seed=1,2")
        assert run.status == status
        assert len(ranked(run.out)) == 2
        for name in names[:2]:
            assert [message for message in caplog.messages if f"{name} failed: OSError: [Errno 28]" in message]


@sketched
@pytest.mark.slow
def test_the_status_is_right_where_nothing_can_be_reported(app, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(report, "gather", broken)
    for name in ("write_csv", "draw_curves", "Screen"):
        monkeypatch.setattr(summary, name, broken)
    assert app(REPORT, "do=fail,score").status == 1
    monkeypatch.setattr(report, "sum_up", broken)
    assert app(REPORT, "do=fail,score").status == 1
    assert app(REPORT, "do=score").status == 0


@sketched
def test_an_interrupted_sweep_has_a_table_too(app, folder):
    run = app(REPORT, "do=score,interrupt,score")
    assert run.status == 130, "as a shell says it"
    assert run.err == "interrupted: here is what is there\n"
    table = complete_table(run, folder)
    assert [bool(row["value"]) for row in table] == [True, False, False]
    assert [table[0]["error"], table[2]["error"]] == ["", "not run, or nothing is left of it"]
    assert table[1]["error"] in (
        "has left no result: it is still running, or was killed",
        "KeyboardInterrupt: ",
    )  # Hydra 1.4 tells callbacks of it


OTHER = """
import sys
from pathlib import Path
from hydra.experimental.callback import Callback

class Other(Callback):
    def __init__(self, name, ends=None):
        self.name, self.ends = name, ends

    def on_job_end(self, config, job_return, **kwargs):
        with Path(f"{self.name}.txt").open("a") as file:
            print(job_return.status.name, type(job_return._return_value).__name__, file=file)
        if self.ends is not None:
            sys.exit(self.ends)

    def on_multirun_end(self, config, **kwargs):
        Path(f"{self.name}_end.txt").touch()
"""


@pytest.fixture
def others(folder, monkeypatch):
    """Two more callbacks, one listed before ours and one after."""
    (folder / "other.py").write_text(OTHER)
    (folder / "config.yaml").write_text(
        (folder / "config.yaml").read_text()
        + """
hydra:
  callbacks:
    before: {_target_: other.Other, name: before}
    schedule_report: {_target_: cosched.sweeps.report.ScheduleReport, epochs: 10, epoch_length: 10, maximize: true}
    after: {_target_: other.Other, name: after}
"""
    )
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("other", None)


@sketched
@pytest.mark.slow
def test_other_callbacks_see_what_happened_whichever_is_listed_first(app, folder, others):
    run = app("do=fail,score")
    assert run.status == 1
    complete_table(run, folder)
    for name in ("before", "after"):
        assert (folder / f"{name}.txt").read_text().splitlines() == ["FAILED RuntimeError", "COMPLETED float"]
        assert (folder / f"{name}_end.txt").exists()


@sketched
@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.slow
def test_a_callback_that_ends_the_sweep_leaves_a_table_and_a_status(app, folder, others, name):
    run = app("do=score,fail", f"+hydra.callbacks.{name}.ends=0")
    assert run.status == 1, "for not all jobs ran"
    assert len(complete_table(run, folder)) == 2


@sketched
@pytest.mark.slow
def test_a_launchers_config_is_saved_as_it_was(app, folder):
    app(REPORT, "do=score").check()
    assert "hydra._internal.core_plugins.basic_launcher.BasicLauncher" in (folder / "out/multirun.yaml").read_text()
    assert "ReportLauncher" not in (folder / "out/multirun.yaml").read_text()


@sketched
@pytest.mark.slow
def test_a_jobs_own_file_of_that_name_is_not_written_over_at_its_end(app, folder):
    app(REPORT, "do=damage").check()
    assert (folder / "out/0/schedule.json").read_text() == '{"job": 0, "sche'


@sketched
@pytest.mark.slow
def test_the_report_leaves_an_earlier_sweep_in_the_folder_out(app, folder):
    app(REPORT, "do=score", "seed=0,1,2").check()
    old = folder / "out/2/schedule.json"
    os.utime(old, (0, 0))
    (folder / "out/3").mkdir()
    (folder / "out/3/schedule.json").symlink_to("nowhere")
    app(REPORT, "do=score", "seed=0,1").check()
    assert [row["job"] for row in rows(folder)] == ["0", "1"]
    assert all(math.isfinite(float(row["value"])) for row in rows(folder))


@sketched
@pytest.mark.slow
def test_a_preview_with_the_report_has_no_report(app, folder):
    run = app(REPORT, "hydra/launcher=preview", "previewed=true").check()
    assert "nothing was run" in run.out
    assert not (folder / "out/sweep.csv").exists()


def left(folder, job):
    return json.loads((folder / "out" / str(job) / "schedule.json").read_text())


@sketched
@pytest.mark.parametrize("set_", [False, True])
@pytest.mark.slow
def test_the_report_shows_the_run_that_a_loop_has_begun(app, folder, set_):
    length = ["hydra.callbacks.schedule_report.epochs=3", "hydra.callbacks.schedule_report.epoch_length=9"] * set_
    run = app(REPORT, "do=torch,ignite,torch_and_fail", *length)
    assert run.status == 1
    assert "sweep of app, 3 jobs over 4 epochs x 7 iterations\n" in run.out
    assert "assumed" not in run.out
    schedule = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2)
    for job in range(3):
        saved = left(folder, job)["schedules"]["train.schedule"]
        assert (saved["run"]["epochs"], saved["run"]["epoch_length"]) == (4, 7)
        assert saved["restarts"] == schedule.restarts(28).tolist()
    assert [row["run"] for row in rows(folder)] == ["4 epochs x 7 iterations"] * 3
    assert len({row["fingerprint"] for row in rows(folder)}) == 1


@sketched
@pytest.mark.slow
def test_where_a_job_begins_no_run_its_length_is_that_of_the_others_and_said_to_be_assumed(app, folder):
    run = app(REPORT, "do=torch,fail,score")
    assert [row["run"] for row in rows(folder)] == ["4 epochs x 7 iterations", *["assumed 4 epochs x 7 iterations"] * 2]
    assert "] began no run that is known: assumed 4 epochs x 7 iterations" in run.out
    app(REPORT, "do=score", "hydra.sweep.dir=alone").check()
    with (folder / "alone/sweep.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["assumed 10 epochs x 100 iterations"]


@sketched
def test_the_length_that_is_set_holds_where_no_run_is_begun(app, folder):
    app(REPORT, "do=score", "+cosched.epochs=${epochs}", "+cosched.epoch_length=25").check()
    assert [row["run"] for row in rows(folder)] == ["4 epochs x 25 iterations"]


@sketched
@pytest.mark.parametrize(("maximize", "jobs"), [("null", "012"), ("true", "120"), ("false", "021")])
@pytest.mark.slow
def test_jobs_are_ranked_only_where_it_is_known_which_value_is_the_best(app, maximize, jobs):
    run = app(REPORT, "do=nothing,decimal,scalar", f"hydra.callbacks.schedule_report.maximize={maximize}").check()
    shown = ranked(run.out)
    if maximize == "null":
        assert "hydra.callbacks.schedule_report.maximize=true" in run.out
        assert [row["job"] for row in shown] == ["0", "1", "2"]
        assert "rank" not in shown[0]
    else:
        best = ["2", "1"] if maximize == "true" else ["1", "2"]
        assert [(row["job"], row["rank"]) for row in shown] == [(best[0], "1"), (best[1], "2"), ("0", "")]
    assert "best first" not in run.out if maximize == "null" else "best first" in run.out


@sketched
def test_equal_values_share_a_rank(app):
    run = app(REPORT, "do=scalar,decimal,scalar", "hydra.callbacks.schedule_report.maximize=true").check()
    assert [(row["job"], row["rank"]) for row in ranked(run.out)] == [("0", "1"), ("2", "1"), ("1", "3")]


@pytest.mark.parametrize(
    ("sweeper", "best"),
    [
        ({}, None),
        ({"direction": "minimize"}, False),
        ({"direction": "MAXIMIZE"}, True),
        ({"direction": ["minimize", "maximize"]}, None),
        ({"optim": {"maximize": True}}, True),
        ({"ax_config": {"experiment": {"minimize": True}}}, False),
    ],
)
def test_the_direction_is_taken_from_the_sweeper(sweeper, best):
    config = OmegaConf.create({"hydra": {"sweeper": sweeper, "callbacks": {}}})
    assert report.direction(config, None) is best
    assert report.direction(config, True) is True
    assert report.direction(config, False) is False


@pytest.mark.slow
def test_a_job_has_a_picture_over_its_run_unless_it_has_drawn_one(app, folder):
    (folder / "out/1").mkdir(parents=True)
    (folder / "out/1/schedule.png").write_bytes(b"mine")
    app(REPORT, "do=torch", "seed=0,1").check()
    assert (folder / "out/0/schedule.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "out/1/schedule.png").read_bytes() == b"mine"


@sketched
@pytest.mark.slow
@sketched
def test_what_a_relative_schedule_multiplies_is_kept_as_its_optimizer_has_it(app, folder):
    app(REPORT, "do=ignite,score", "train.schedule.relative=true", "+optimizer.lr=7").check()
    kept = [json.loads((folder / f"out/{job}/schedule.json").read_text())["schedules"] for job in (0, 1)]
    assert [one["train.schedule"]["groups"] for one in kept] == [{"0": 0.1}, {"optimizer": 7}]
    assert [one.groups["train.schedule"] for one in collect([folder / "out"])] == [{"0": 0.1}, {"optimizer": 7}]


def test_an_override_without_effect_is_told(app):
    run = app(REPORT, "do=torch", "+optimizer.lr=1,2").check()
    assert "+optimizer.lr has no effect: train.schedule sets lr at every iteration" in run.out


@sketched
@pytest.mark.slow
def test_of_many_jobs_the_distinct_curves_are_shown_with_their_counts(app, folder, monkeypatch):
    monkeypatch.setattr(summary, "MANY", 11)
    best = "hydra.callbacks.schedule_report.maximize=true"
    run = app(REPORT, "do=score,fail", "train.schedule.cycle_mult=1,2", "seed=0,1,2", best)
    assert run.status == 1
    assert [(row["count"], row["failed"], row["jobs"]) for row in table(run.out)] == [
        ("6", "3", "3-5, 9-11"),
        ("6", "3", "0-2, 6-8"),
    ]
    assert "] RuntimeError: as asked (jobs 6-11)\n" in run.out
    assert "All 12 jobs: " in run.out
    assert len(rows(folder)) == 12
