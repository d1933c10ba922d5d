"""The command ``cosched report``: what jobs have left, at any time."""

import csv
import json

import pytest

from cosched.sweeps.command import main

pytestmark = pytest.mark.usefixtures("sketched")

REPORT = "hydra/callbacks=schedule_report"


def report(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["report", *map(str, arguments)])
    return stop.value.code


def rows(file):
    with file.open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_a_report_is_built_anew_from_a_folder(app, folder, capsys):
    first = app(REPORT, "do=score,fail", "seed=1,2", "hydra.callbacks.schedule_report.maximize=false")
    table = rows(folder / "out/sweep.csv")
    (folder / "out/sweep.csv").unlink()
    assert report("out") == first.status == 1
    assert rows(folder / "out/sweep.csv") == table
    out = capsys.readouterr().out
    assert out.startswith("out: 4 jobs")
    assert out.split("\n", 2)[2] == first.out.split("\n", 2)[2].replace(f"{folder}/", "").partition("heavy:")[0]


def test_what_was_killed_is_in_it(app, folder):
    app(REPORT, "do=score", "seed=1,2").check()
    file = folder / "out/1/schedule.json"
    state = json.loads(file.read_text()) | {"status": "running", "value": None, "error": "ended without a result"}
    file.write_text(json.dumps(state))
    (folder / "out/0/copy").mkdir()
    (folder / "out/0/copy/schedule.json").write_text("{}")
    assert report("out", "--maximize") == 1
    assert [(row["rank"], row["error"]) for row in rows(folder / "out/sweep.csv")] == [
        ("1", ""),
        ("", "ended without a result"),
    ]


def test_several_sweeps_are_compared(app, folder, capsys):
    app(REPORT, "do=score", "seed=1,2").check()
    app(REPORT, "do=score", "seed=1", "train.schedule.cycle_mult=3", "hydra.sweep.dir=other").check()
    assert report("out", "other", "--maximize", "--output", "both") == 0
    table = rows(folder / "both/sweep.csv")
    assert [(row["job"], row["seed"], row["train.schedule.cycle_mult"]) for row in table] == [
        ("0", "1", ""),
        ("1", "2", ""),
        ("2", "1", "3"),
    ]
    assert "both/sweep.csv" in capsys.readouterr().out


def test_a_folder_without_jobs_is_told(tmp_path):
    assert "hydra/callbacks=schedule_report" in report(tmp_path)
    assert "there is no folder" in report(tmp_path / "nowhere")


def test_the_version_is_that_of_cosched(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("cosched ")
