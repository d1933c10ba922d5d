"""The command ``cosched``: what jobs have left, at any time; schedules without an app."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT

from cosched.schedules.registry import names
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


@pytest.mark.slow
def test_what_was_killed_is_in_it(app, folder):
    app(REPORT, "do=score", "seed=1,2").check()
    file = folder / "out/1/schedule.json"
    state = json.loads(file.read_text()) | {
        "status": "running",
        "value": None,
        "error": "has left no result: it is still running, or was killed",
    }
    file.write_text(json.dumps(state))
    (folder / "out/0/copy").mkdir()
    (folder / "out/0/copy/schedule.json").write_text("{}")
    assert report("out", "--maximize") == 1
    assert [(row["rank"], row["error"]) for row in rows(folder / "out/sweep.csv")] == [
        ("1", ""),
        ("", "has left no result: it is still running, or was killed"),
    ]


@pytest.mark.slow
def test_jobs_that_an_earlier_sweep_left_in_the_folder_are_told(app, folder):
    app(REPORT, "do=score", "seed=1,2,3").check()
    app(REPORT, "do=score", "seed=4,5").check()
    assert report("out") == 0
    findings = [row["findings"] for row in rows(folder / "out/sweep.csv")]
    assert findings == ["", "", "is of an earlier sweep in out: it is older than multirun.yaml"]
    os.utime(folder / "out/multirun.yaml")
    assert report("out") == 0
    assert [row["findings"] for row in rows(folder / "out/sweep.csv")] == [""] * 3, "they have been copied"


@pytest.mark.slow
def test_several_sweeps_are_compared(app, folder, capsys):
    app(REPORT, "do=score", "seed=1,2").check()
    app(REPORT, "do=score", "seed=1", "train.schedule.cycle_mult=3", "hydra.sweep.dir=other").check()
    assert report("out", "other", "--maximize") == 0
    table = rows(folder / "report/sweep.csv")
    assert [(row["job"], row["seed"], row["train.schedule.cycle_mult"]) for row in table] == [
        ("0", "1", ""),
        ("1", "2", ""),
        ("2", "1", "3"),
    ]
    assert [row["folder"] for row in table] == ["../out/0", "../out/1", "../other/0"]
    out = capsys.readouterr().out
    assert "report/sweep.csv" in out
    assert "other/0" in out, "the numbers alone would not do"


def test_a_folder_without_jobs_is_told(tmp_path):
    assert "hydra/callbacks=schedule_report" in report(tmp_path)
    assert "there is no folder" in report(tmp_path / "nowhere")


def test_the_version_is_that_of_cosched(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("cosched ")


def cosched(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code, capsys.readouterr().out


@pytest.mark.slow
def test_each_shape_and_each_preset_is_a_line_of_the_list(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out = cosched(capsys, "list")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    presets = {file.stem for file in (ROOT / "cosched/conf/scheduler").glob("*.yaml")}
    assert not status
    assert lines.keys() == presets | set(names())
    assert max(map(len, out.splitlines())) == 80
    curves = {name for name, line in lines.items() if any("\u2800" < c < "\u2900" for c in line)}
    assert lines.keys() - curves == {"branched", "phases", "piecewise_linear", "product", "scaled", "stages"}


def test_a_preset_is_previewed_without_an_app(capsys, tmp_path):
    run = ["--epochs=20", "--epoch-length=5", f"--output={tmp_path / 'a b'}"]
    status, out = cosched(capsys, "preview", "scheduler=wsd,chinchilla", "scheduler.peak=0.2", *run)
    assert status == 1, "only one of them has it"
    status, out = cosched(capsys, "preview", "scheduler=wsd,chinchilla", *run)
    assert not status
    assert "2 jobs, previewed over 20 epochs x 5 iterations\n" in out
    schedules = rows(tmp_path / "a b/schedules.csv")
    assert [float(row["value"]) for row in schedules if row["job"] == "0"][25:50] == [0.1] * 25
    assert cosched(capsys, "preview", "scheduler=wdd", *run)[0] == 1
    root = "cosched/phase@scheduler.phases.decay=sqrt_annealing"
    assert not cosched(capsys, "preview", "scheduler=wsd", root, *run)[0]
    assert float(rows(tmp_path / "a b/schedules.csv")[-1]["value"]) < 0.1 * (1 - 0.9**0.5), "fast at first"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["schema scheduler", "list", "preview scheduler=wsd"])
def test_nothing_is_said_to_a_pipe_that_has_been_closed(folder, command):
    code = f"from cosched.sweeps.command import main; main({command.split()})"
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=folder, **piped) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert (folder / "preview/schedules.png").exists() == command.startswith("preview")


def test_a_config_file_and_an_option_of_ones_own_are_previewed(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = ["--epochs=2", "--epoch-length=50", "--output=out"]
    status, _ = cosched(capsys, "preview", "config.yaml", "train.schedule.cycle_mult=1,3", *run)
    assert not status
    assert [row["restarts"] for row in rows(folder / "out/preview.csv")] == ["15, 30, 45, 60, 75, 90", "15, 60"]
    (folder / "scheduler").mkdir()
    option = (
        "defaults: [/cosched/schema/linear_cyclical@_here_, _self_]\nstart_value: 1\nend_value: 0\ncycle_size: 3ktok\n"
    )
    (folder / "scheduler/mine.yaml").write_text(option)
    status, _ = cosched(capsys, "preview", "scheduler/mine.yaml", "--tokens-per-iteration=100", *run)
    assert not status
    assert [row["restarts"] for row in rows(folder / "out/preview.csv")] == ["30, 60, 90"]
    assert "there is no file gone.yaml" in str(cosched(capsys, "preview", "gone.yaml")[0])


@pytest.mark.parametrize(
    "text",
    [
        "defaults: [cosine_annealing, _self_]\n",
        "defaults:\n- /cosched/schema/cosine_annealing@_here_\n- _self_\n",
        "_target_: cosched.CosineAnnealingScheduler\ncycle_mult: 1\n",
    ],
)
def test_an_option_is_previewed_wherever_it_stands(capsys, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(f"{text}start_value: 1\nend_value: 0\ncycle_size: 1ep\n")
    status, _ = cosched(capsys, "preview", "mine.yaml", "scheduler.cycle_mult=1,2", "--epochs=3", "--epoch-length=5")
    assert not status
    assert [row["restarts"] for row in rows(tmp_path / "preview/preview.csv")] == ["5, 10", "5"]


def test_the_config_of_an_app_is_none_though_a_file_beside_it_is_called_as_an_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("defaults: [step, scheduler: wsd, _self_]\n")
    (tmp_path / "step.yaml").write_text("size: 1\n")
    status, _ = cosched(capsys, "preview", "config.yaml", "size=2", "--epochs=3", "--epoch-length=5")
    assert not status
    assert [(row["size"], row["schedule"]) for row in rows(tmp_path / "preview/preview.csv")] == [("2", "scheduler")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["scheduler=wsdd"], "there is no option 'wsdd' of scheduler: did you mean 'wsd'? cosched list shows all"),
        (["scheduler=wsd", "scheduler.phases.decay.duraton=3"], "duraton is not a field .*: did you mean 'duration'?"),
        (["scheduler=wsd", "scheduler.phases.decya.skip=3"], "scheduler.phases has no 'decya': did you mean 'decay'?"),
        (["scheduler=null"], "Choose scheduler=constant scheduler.value=0.1"),
        (["scheduler=wsd", "scheduler.event=x"], "override scheduler.event=x: Invalid value 'x', expected one of"),
        (["broken.yaml"], "ParserError"),
        (["wsd"], "wsd is neither a config file, which comes first, nor KEY=VALUE: did you mean scheduler=wsd?"),
        (["scheduler=["], "no viable alternative at input '['"),
        (["bare.yaml"], "bare.yaml declares no schedule: choose one, as in cosched preview scheduler=wsd"),
        (["+a=1"], "+a=1 declares no schedule: "),
    ],
)
def test_what_is_wrong_is_a_sentence_with_what_to_type(capsys, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.yaml").write_text("a: 1\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    status, out = cosched(capsys, "preview", *given, "--epochs=3", "--epoch-length=5")
    assert status
    told = out if status == 1 else status
    assert re.search(said.replace("[", r"\[").replace("?", r"\?").replace("+", r"\+"), " ".join(told.split()))
    assert status == 1 or len(status.splitlines()) == 1
    assert "_dummy" not in out


@pytest.mark.parametrize("given", ["scheduler=wsdd", "+a=1"])
def test_pictures_of_an_earlier_preview_do_not_stay(capsys, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preview").mkdir()
    for name in ("schedules.png", "schedules.svg", "schedules.html", "mine.png"):
        (tmp_path / "preview" / name).touch()
    assert cosched(capsys, "preview", given)[0]
    left = sorted(path.name for path in (tmp_path / "preview").iterdir())
    assert left == ["mine.png", "preview.csv", "schedules.csv"]
