"""The main job's command, as a user types it."""

import contextlib
import csv
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import sys
import termios

import pytest
import torch
from helpers import JOB, ROOT, TINY, Run, Start, column, composed, history
from omegaconf import OmegaConf

from cosched import CosineAnnealing
from cosched.digits import command

pytestmark = pytest.mark.xdist_group("started")  # one server for all


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_results_in_its_folder(tmp_path):
    overrides = ["scheduler.cycle_size=15", "scheduler.start_value=0.2", "trainer.progress_bar=true"]
    run = Start(JOB, *TINY, "trainer.max_epochs=2", *overrides, "hydra.run.dir=out", cwd=tmp_path).check()
    out = tmp_path / "out"
    metrics = json.loads((out / "metrics.json").read_text())
    assert f"validation accuracy {metrics['val_accuracy']:.4f} after 2 epochs" in run.out
    for name in ("history.csv", "metrics.json", "run.json", "applied.png", "checkpoint_30.pt", ".hydra"):
        assert (out / name).exists()
        assert f"out/{name}" in run.out
    assert (out / "applied.png").read_bytes().startswith(b"\x89PNG")
    assert "run.lock" not in run.out
    assert run.err == "", "no progress bar where it is not seen"
    log = (out / "train.log").read_text()
    assert f"run {json.loads((out / 'run.json').read_text())['run']}: 2 epochs of 15 iterations on " in log
    assert f"epoch 2 of 2, iteration 30: lr {column(history(out), 'lr')[-1]:.6g}, train_loss " in log
    assert log.endswith(run.out.splitlines()[0] + "\n")
    rows = history(out)
    assert list(rows[0]) == ["iteration", "epoch", "lr", "train_loss", "val_accuracy", "val_loss"]
    assert [int(row["iteration"]) for row in rows] == list(range(1, 31))
    schedule = CosineAnnealing(start_value=0.2, end_value=0.001, cycle_size=15, cycle_mult=2)
    assert column(rows, "lr") == schedule.values(range(30)).tolist()
    for name in ("applied", "schedule"):
        text = " ".join(re.findall("<!-- (.*) -->", (out / f"{name}.svg").read_text()))
        assert "train: trainer.progress_bar=false model.channels=1" in text
    assert OmegaConf.load(out / ".hydra/config.yaml").scheduler.start_value == 0.2
    assert {path.name for path in (out / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    state = torch.load(out / "checkpoint_30.pt", weights_only=True)
    assert state["trainer"]["iteration"] == 30
    assert state["scheduler lr"]["event_index"] == 30


@pytest.mark.slow
def test_a_run_in_the_folder_of_another_is_refused_before_anything_is_written(tmp_path):
    Start(JOB, *TINY, "trainer.max_epochs=1", "hydra.run.dir=out", cwd=tmp_path).check()
    before = contents(tmp_path / "out")
    for more in [], ["resume_from=out/nowhere"]:
        run = Start(JOB, *TINY, "trainer.max_epochs=2", "hydra.run.dir=out", *more, cwd=tmp_path)
        assert run.status == 1
        assert run.err.startswith("out has the checkpoints of a run (checkpoint_15.pt): continue that run with ")
        assert contents(tmp_path / "out") == before
    for folder in ("out", "new"):
        changed = ["resume_from=out", "scheduler.cycle_mult=7", f"hydra.run.dir={folder}"]
        assert "cycle_mult is 2.0 there and 7.0 here" in Start(JOB, *TINY, *changed, cwd=tmp_path).err
    assert contents(tmp_path / "out") == before
    assert not contents(tmp_path / "new")
    Start(JOB, *TINY, "trainer.max_epochs=1", "hydra.run.dir=out", "resume_from=out", cwd=tmp_path).check()


@pytest.mark.slow
def test_a_sweep_in_the_folder_of_another_leaves_its_jobs_alone(tmp_path):
    sweep = ["-m", *TINY, "trainer.max_epochs=1", "hydra.sweep.dir=out"]
    named = "hydra.sweep.subdir=job${hydra.job.num}"
    for more in [], [named]:
        Start(JOB, *sweep, *more, cwd=tmp_path).check()
    before = contents(tmp_path / "out")
    run = Start(JOB, *sweep, cwd=tmp_path)
    assert (run.status, run.out) == (1, "")
    assert run.err.startswith("out/0 has the checkpoints of a run (checkpoint_15.pt): continue that run with ")
    assert contents(tmp_path / "out") == before
    Start(JOB, *sweep, "hydra/launcher=preview", "hydra.sweep.dir=out", cwd=tmp_path).check()
    run = Start(JOB, *sweep, named, "trainer.seed=0,1", cwd=tmp_path)
    assert "job 0 failed: " in run.out
    assert "Traceback" not in run.out
    assert {path: there for path, there in contents(tmp_path / "out").items() if "job0" in path.parts} == {
        path: there for path, there in before.items() if "job0" in path.parts
    }
    assert (tmp_path / "out/job1/.hydra/config.yaml").exists()
    assert json.loads((tmp_path / "out/job1/schedule.json").read_text())["status"] == "completed"


@pytest.mark.slow
def test_a_run_whose_output_nobody_reads_is_completed(tmp_path):
    job = shlex.join(map(str, [JOB, *TINY, "trainer.max_epochs=1", "hydra.run.dir=out"]))
    run = Run("bash", "-c", f"{job} | true", cwd=tmp_path)
    assert run.err == ""
    assert json.loads((tmp_path / "out/schedule.json").read_text())["status"] == "completed"
    assert "validation accuracy" in (tmp_path / "out/train.log").read_text()


def in_a_terminal(columns, folder, *command):
    """What a command shows in a terminal of so many columns, a line for each time that the bar is drawn."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execv(command[0], [str(one) for one in command])
    shown = b""
    with contextlib.suppress(OSError):  # at the end
        while more := os.read(terminal, 4096):
            shown += more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return re.split(r"[\r\n]+", shown.decode())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_progress_bar_fits_the_terminal_and_shows_rate_loss_and_accuracy(tmp_path, monkeypatch, columns):
    monkeypatch.setenv("TQDM_MININTERVAL", "0")  # or it would pass over iterations that take no time
    options = [*TINY, "trainer.progress_bar=true", "trainer.max_epochs=2", "hydra.run.dir=out"]
    lines = in_a_terminal(columns, tmp_path, JOB, *options)
    bars = [line for line in lines if "|" in line]
    assert all(len(bar) < columns for bar in bars)
    last = history(tmp_path / "out")[-1]
    assert bars[0].startswith("epoch 1/2 |  "), "at the start"
    assert {f"lr={float(row['lr']):.3g}, loss={float(row['train_loss']):.3g}" for row in history(tmp_path / "out")} <= {
        found[0] for bar in bars if (found := re.search("lr=[^,]*, loss=[^,]*", bar))
    }, "by iteration"
    assert re.search(r"2/2 \|█+\| \d\d:\d\d<00:00, ", bars[-1])
    assert bars[-1].endswith(
        f"lr={float(last['lr']):.3g}, loss={float(last['train_loss']):.3g}, accuracy={float(last['val_accuracy']):.3g}"
    )
    assert "\x1b" not in bars[-1]


@pytest.mark.slow
def test_the_preview_knows_the_length_of_the_run(tmp_path):
    sweep = ["trainer.batch_size=64,96", "trainer.max_epochs=3", "hydra.sweep.dir=out"]
    run = Start(JOB, "-m", "hydra/launcher=preview", *sweep, cwd=tmp_path).check()
    assert "evaluated 2 schedules at 114 events" in run.out, "3 epochs of 23, and 3 of 15 iterations"
    assert not list(tmp_path.rglob("history.csv"))


def test_help_says_what_it_is_and_names_every_preset_and_the_preview(tmp_path):
    shown = Start(JOB, "--help", cwd=tmp_path).check().out
    presets = [path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")]
    lines = shown.partition("== Presets ==")[2].partition("==")[0].strip().splitlines()
    assert [line.split()[0] for line in lines] == sorted(presets)
    assert all(len(line.split()) > 3 and len(line) <= 120 for line in lines)
    assert "cosched-train hydra/launcher=preview" in shown


@pytest.mark.parametrize("fraction", [0.2, 0.9, 0.333])
def test_the_config_knows_the_length_of_an_epoch(fraction):
    from cosched.digits.model import digits

    config = composed(f"data.val_fraction={fraction}", "trainer.batch_size=13")
    train, _ = digits(fraction, 0)
    assert config.trainer.epoch_length == len(torch.utils.data.DataLoader(train, 13))


MISTAKES = {
    "scheduler.cycle_mlt=2": [
        "Key 'cycle_mlt' not in",
        "scheduler.cycle_mlt is not a field of cosine_annealing: did you",
    ],
    "scheduler.event=ITERATION": ["scheduler.event", "'ITERATION', expected one of [ITERATION_STARTED, EPOCH_"],
    "scheduler.num_cycles=abc": ["scheduler.num_cycles=abc", "'abc' of type 'str' could not be converted to Int"],
    "scheduler=null": ["scheduler=null: leave an option out with ~scheduler"],
    "-m optimizer@optimizer=null,sgd": ["optimizer@optimizer=null,sgd: leave an option out with ~optimizer@optimizer"],
    "trainer.max_epochs=abc": ["Value 'abc' of type 'str' could not be converted to Integer"],
    "trainer.device=[1]": ["full_key: trainer.device"],
    "trainer.checkpoint_every=1.5": ["Value '1.5' of type 'float' is incompatible with type hint 'Union[int, str]'"],
    "trainer.ema_momentum=abc": ["Value 'abc' of type 'str' could not be converted to Float"],
    "trainer.progres_bar=false": ["Key 'progres_bar' not in 'TrainerSettings'"],
    "distributed.nproc_per_node=two": ["Value 'two' of type 'str' could not be converted to Integer"],
    "loop=other": ["Invalid value 'other', expected one of [ignite, torch]"],
    "snapshots=often": ["Value 'often' is not a valid bool (type str)"],
    "scheduler=wsd scheduler.phases.decay.end_valu=1": [
        "full_key: scheduler.phases.decay.end_valu",
        "scheduler.phases.decay.end_valu is not a field of polynomial_annealing: did",
    ],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_field_is_told_before_anything_runs(tmp_path, monkeypatch, capsys, mistake):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cosched-train", *mistake.split()])
    with pytest.raises(SystemExit, match=r"^1$"):
        command.cli()
    errors = capsys.readouterr().err
    assert all(message in errors for message in MISTAKES[mistake])
    assert errors.count(MISTAKES[mistake][-1]) == 1
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_mistake_in_a_value_is_told_without_a_traceback(tmp_path):
    run = Start(JOB, *TINY, "scheduler.cycle_size=abc", cwd=tmp_path)
    assert run.status == 1
    assert "scheduler: cycle_size='abc' is" in run.err
    assert run.err.count("cycle_size='abc' is") == 1
    assert "Traceback" not in run.err


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(SystemExit, match=r"^cosched-train needs tqdm: pip install 'hydra-cosched\[train\]', or"):
        command.cli()


@pytest.mark.slow
def test_a_sweep_runs_each_point_in_its_folder(tmp_path):
    sweep = ["scheduler.cycle_mult=1,1.5,2", "scheduler.start_value_mult=1,0.8", "scheduler.cycle_size=10"]
    run = Start(JOB, "-m", *TINY, "trainer.max_epochs=2", *sweep, "hydra.sweep.dir=out", cwd=tmp_path).check()
    assert [line for line in run.out.splitlines() if line.startswith("  out")] == [f"  out/{job}" for job in range(6)]
    curves = {tuple(column(history(tmp_path / f"out/{job}"), "lr")) for job in range(6)}
    assert len(curves) == 6
    with (tmp_path / "out/sweep.csv").open() as file:
        returned = [float(row["value"]) for row in csv.DictReader(file)]
    metrics = [json.loads((tmp_path / f"out/{job}/metrics.json").read_text()) for job in range(6)]
    assert returned == [one["val_accuracy"] for one in metrics]


@pytest.mark.slow
def test_it_works_as_a_module_from_an_installed_wheel(tmp_path, installed):
    module = [installed, "-m", "cosched.digits.command"]
    Run(*module, *TINY, "trainer.max_epochs=2", "optimizer._target_=torch.optim.RMSprop", cwd=tmp_path).check()
    assert len(list(tmp_path.glob("outputs/*/*/metrics.json"))) == 1
    no_schedule = ["~scheduler", "hydra.run.dir=constant"]
    Run(installed.parent / "cosched-train", *TINY, "trainer.max_epochs=2", *no_schedule, cwd=tmp_path).check()
    assert list(history(tmp_path / "constant")[0]) == ["iteration", "epoch", "train_loss", "val_accuracy", "val_loss"]


@pytest.mark.slow
def test_an_experiment_is_run_from_the_command_line(tmp_path):
    Start(JOB, "-cd", ROOT / "conf", "+experiment=clr", *TINY, "hydra.run.dir=out", cwd=tmp_path).check()
    assert len(history(tmp_path / "out")) == 16 * 15


@pytest.mark.slow
@pytest.mark.parametrize("logging", ["disabled", "stdout", "none"])
def test_another_way_of_logging_is_as_hydra_has_it(tmp_path, logging):
    run = Start(JOB, *TINY, "hydra.run.dir=out", f"hydra/job_logging={logging}", "trainer.max_epochs=1", cwd=tmp_path)
    assert "validation accuracy" in run.check().out
    assert not (tmp_path / "out/train.log").exists()
