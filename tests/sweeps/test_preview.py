"""The launcher ``hydra/launcher=preview``, in an app that is not ours."""

import csv
import re
import sys
import warnings

import pytest
from helpers import Run
from omegaconf import OmegaConf

from cosched import CosineAnnealing
from cosched.sweeps import preview

PREVIEW = ("hydra/launcher=preview", "previewed=true")


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def words(out):
    """What is shown, however it is broken into lines."""
    return re.sub(r"\s+", " ", out)


@pytest.mark.slow
def test_a_preview_loads_neither_torch_nor_ignite(folder):
    length = ["hydra.launcher.epochs=${epochs}", "hydra.launcher.epoch_length=25"]
    sweep = ["train.schedule.cycle_mult=1,1.05,1.5,2", "train.schedule.start_value_mult=1,0.8"]
    command = [sys.executable, "app.py", "-m", "hydra.sweep.dir=out", *PREVIEW, *length, *sweep]
    run = Run(*command, cwd=folder).check()
    assert run.out.count(" lr ") == 8
    assert run.out.count("has no effect") == 1, "which two jobs refer to"
    assert "does the same as job 0: train.schedule.cycle_mult=1.05 makes no difference" in run.out
    assert "does the same as job 1" in run.out
    assert "8 jobs of app, previewed over 4 epochs x 25 iterations\n" in run.out
    assert "evaluated 8 schedules at 800 events" in run.out
    assert "heavy: []" in run.out
    names = ["preview.csv", "schedules.csv", "schedules.png", "schedules.svg"]
    assert sorted(path.name for path in (folder / "out").iterdir() if path.suffix not in (".yaml", ".html")) == names
    table = rows(folder / "out/schedules.csv")
    last = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2, start_value_mult=0.8)
    assert [float(row["value"]) for row in table if row["job"] == "7"] == last.values(range(100)).tolist()
    assert {(row["schedule"], row["event"]) for row in table} == {("train.schedule", str(i)) for i in range(100)}


def test_preview_shows_all_jobs_and_fails_for_an_invalid_one(app, folder):
    run = app(*PREVIEW, "train.schedule.cycle_mult=0.5,0,2")
    assert run.status == 1
    assert run.out.count(" lr ") == 2
    assert "cycles shrink to nothing at event" in run.out
    assert "error: cycle_mult=0.0 must be above 0" in words(run.out)
    assert {row["job"] for row in rows(folder / "out/schedules.csv")} == {"0", "2"}


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.schedule._target_=cosched.evil.X", "error: _target_=cosched.evil.X is not a scheduler of cosched"),
        ("train.schedule.cycle_mult=${seed}0", "error: "),
        ("hydra.launcher.epochs=0", "error: a run of epochs=0 of epoch_length=100 has no events"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_previewed_is_a_row_and_a_status(app, override, said):
    run = app(*PREVIEW, override)
    assert run.status == 1
    assert said in words(run.out)


@pytest.mark.slow
def test_a_preview_of_a_very_long_run_with_a_deep_config(app):
    run = app(*PREVIEW, "hydra.launcher.epochs=1000000", "hydra.launcher.epoch_length=1000000").check()
    assert "1,000,000,000,000 events" in run.out


@pytest.mark.slow
def test_names_are_text_in_a_preview(app, folder):
    notes = ["[/data/a]", "$x$ and $y", "=1+1", "\x1b[31mred", "[red]x"]
    run = app(*PREVIEW, "note=" + ",".join(f"'{note}'" for note in notes), "train.schedule.param_name='=$[b]$'")
    run.check()
    for note in ("[/data/a]", "$x$ and $y", "=1+1", "\\x1b[31mred", "[red]x"):
        assert f" '{note}' " in run.out
    assert "\x1b" not in run.out
    assert (folder / "out/schedules.png").exists()


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.slow
def test_a_full_disk_does_not_change_the_status_of_a_preview(app, folder, caplog, valid):
    (folder / "out").mkdir()
    for name in ("schedules.csv", "schedules.png"):
        (folder / "out" / name).symlink_to("/dev/full")
    run = app(*PREVIEW, f"train.schedule.cycle_mult=2,{1 if valid else 0}")
    assert run.status == (0 if valid else 1)
    assert " lr " in words(run.out)
    assert [message for message in caplog.messages if "schedules.csv failed: OSError: [Errno 28]" in message]
    assert [message for message in caplog.messages if "schedules.png failed: OSError: [Errno 28]" in message]


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("valid", [True, False])
def test_without_m_it_previews_too_and_runs_nothing(app, folder, monkeypatch, valid):
    run = app(*PREVIEW, f"train.schedule.cycle_mult={2 if valid else 0}", multirun=False)
    assert run.status == (0 if valid else 1)
    assert "nothing was run" in run.out
    assert [row["schedule"] for row in rows(folder / "out/preview.csv")] == ["train.schedule"]


@pytest.mark.parametrize("missing", ["rich", "matplotlib"])
@pytest.mark.parametrize("multirun", [True, False])
@pytest.mark.parametrize("option", ["hydra/launcher=preview", "hydra/callbacks=schedule_report"])
def test_what_an_option_needs_is_said_in_a_line_and_nothing_runs(app, monkeypatch, missing, multirun, option):
    monkeypatch.setitem(sys.modules, missing, None)
    run = app(option, "previewed=true", multirun=multirun)
    assert run.status == 1
    assert run.err.startswith(f"{option} needs {missing}: pip install ")
    assert len(run.err.partition("\nSet the environment variable")[0].splitlines()) == 1


@pytest.fixture
def resolver():
    """Makes a function what ``${wrong:}`` calls."""

    def register(function):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # OmegaConf 2.4 calls it `register_resolver`
            OmegaConf.register_new_resolver("wrong", function)

    yield register
    OmegaConf.clear_resolver("wrong")


@pytest.mark.parametrize("error", [RuntimeError("as\nasked"), MemoryError()])
def test_a_preview_that_fails_ends_the_process_and_nothing_runs(app, resolver, error):
    def fail():
        raise error

    resolver(fail)
    run = app(*PREVIEW, "hydra.sweep.dir=${wrong:}", multirun=False)
    assert run.status == 1
    assert run.err.startswith("hydra/launcher=preview has failed, and nothing was run: ")
    assert type(error).__name__ in run.err
    assert len(run.err.splitlines()) == 1


def test_an_interrupt_of_a_preview_ends_the_process_and_nothing_runs(app, resolver):
    def interrupt():
        raise KeyboardInterrupt

    resolver(interrupt)
    run = app(*PREVIEW, "hydra.sweep.dir=${wrong:}", multirun=False)
    assert (run.status, run.out, run.err) == (130, "", "")


@pytest.mark.usefixtures("sketched")
def test_an_option_of_the_apps_own_previews_without_m_too(app, folder):
    (folder / "hydra/launcher").mkdir(parents=True)
    own = "defaults:\n- /cosched/schema/preview@_here_\n- _self_\nepochs: ${epochs}\nepoch_length: 25\n"
    (folder / "hydra/launcher/preview.yaml").write_text(own)
    assert "1 job of app, previewed over 4 epochs x 25 iterations\n" in app(*PREVIEW, multirun=False).check().out
    assert "1 job of app, previewed over 4 epochs x 25 iterations\n" in app(*PREVIEW).check().out


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(
    ("given", "length"),
    [
        ([], "assumed 10 epochs x 100 iterations"),
        (["hydra.launcher.epochs=3"], "3 epochs x assumed 100 iterations"),
        (["+cosched.epochs=1", "+cosched.epoch_length=${seed}5"], "1 epoch x 5 iterations"),
        (["hydra.launcher.epochs=3", "+cosched.epochs=1", "+cosched.epoch_length=5"], "3 epochs x 5 iterations"),
        (
            ["hydra/callbacks=schedule_report", "hydra.callbacks.schedule_report.epochs=2", "+cosched.epoch_length=5"],
            "2 epochs x 5 iterations",
        ),
    ],
)
@pytest.mark.slow
def test_the_length_of_the_run_is_said_and_that_it_is_assumed(app, folder, given, length):
    run = app(*PREVIEW, *given).check()
    assert f", previewed over {length}\n" in run.out
    remedy = re.search("is assumed: say it with (.*?) composed", words(run.out))
    assert bool(remedy) == ("assumed" in length)
    assert [row["run"] for row in rows(folder / "out/preview.csv")] == [length]
    if remedy:  # which may be typed as it stands
        assert "assumed" not in app(*PREVIEW, *given, *remedy[1].replace("...", "7").split()).check().out


@pytest.mark.usefixtures("sketched")
@pytest.mark.slow
def test_of_many_jobs_the_distinct_curves_are_shown_with_their_counts(app, folder, monkeypatch):
    monkeypatch.setattr(preview, "MANY", 5)
    run = app(*PREVIEW, "train.schedule.cycle_mult=1,2,0.5", "seed=0,1").check()
    counted = [re.split(" {2,}", line.strip())[:4] for line in run.out.splitlines() if " lr " in line]
    assert counted == [[f"{i}, {i + 1}", "2", mult, "0, 1"] for i, mult in ((0, "1"), (2, "2"), (4, "0.5"))]
    assert re.search(r"\] cycles shrink to nothing .* \(jobs 4, 5\)", words(run.out))
    assert len(rows(folder / "out/preview.csv")) == 6


@pytest.mark.usefixtures("sketched")
def test_a_page_is_written_where_plotly_is_installed(app, folder):
    pytest.importorskip("plotly")
    run = app(*PREVIEW, "train.schedule.cycle_mult=1,2", "hydra/callbacks=schedule_report").check()
    assert "out/schedules.html\n" in run.out
    assert "train.schedule.cycle_mult" in (folder / "out/schedules.html").read_text()
    assert "out/sweep.html\n" in app("hydra/callbacks=schedule_report", "do=score").check().out


@pytest.mark.usefixtures("sketched")
@pytest.mark.slow
def test_a_phase_that_stands_alone_is_no_schedule(app):
    run = app(*PREVIEW, "+cosched/phase@tail=constant", "tail.value=1").check()
    assert run.out.count(" lr ") == 1
    alone = app(*PREVIEW, "~scheduler@train.schedule", "+cosched/phase@tail=cosine_annealing").check()
    assert "declares none" in alone.out
