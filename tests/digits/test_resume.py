"""Runs of the main job that are stopped, killed too, and continued."""

import contextlib
import csv
import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module

import cosched.digits.command  # noqa: F401  # registers the resolver that the config uses
from cosched import ConfigError, CosineAnnealing
from cosched.digits.training import last_checkpoint, train

QUICK = ("trainer.progress_bar=false", "trainer.max_epochs=3", "model.channels=2")
BY_EVENT = {
    "iterations": ("scheduler.cycle_size=20it", "scheduler.cycle_mult=1.5", "trainer.checkpoint_every=4"),
    "epochs": ("scheduler.cycle_size=2ep", "scheduler.event=EPOCH_STARTED", "trainer.checkpoint_every=7"),
}


def job(folder, *overrides):
    """Train into ``folder``; also what the killed process runs."""
    with initialize_config_module("cosched.train_conf", version_base="1.3"):
        config = compose("config", [*QUICK, *overrides])
    folder.mkdir(exist_ok=True)
    return train(config, folder)


def start(*arguments):
    # A server that has imported all this and has trained nothing: its children begin at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cosched.digits", "cosched.train", "pytest"])
    process = context.Process(target=job, args=arguments)
    process.start()
    return process


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rates(folder):
    return [float(row["lr"]) for row in history(folder)]


def lines(folder):
    with contextlib.suppress(FileNotFoundError):
        return (folder / "history.csv").read_bytes().count(b"\n")
    return 0


def result(folder):
    """All that a run leaves which must not depend on whether it was killed."""
    checkpoint = torch.load(folder / "checkpoint_45.pt", weights_only=True)
    return history(folder), {name: weights.tolist() for name, weights in checkpoint["model"].items()}


@pytest.mark.parametrize("points", [2, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("event", BY_EVENT)
def test_a_killed_run_is_continued_bit_by_bit(tmp_path, event, points):
    overrides = BY_EVENT[event]
    start(tmp_path / "whole", *overrides).join()
    expected = result(tmp_path / "whole")
    assert len(expected[0]) == 45
    rng = random.Random(f"{event} {points}")
    killed = 0
    while killed < points:
        folder = tmp_path / f"killed_{killed}"
        process = start(folder, *overrides)
        after = rng.randrange(42)
        while process.is_alive() and lines(folder) <= after:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        process.kill()
        process.join()
        assert process.exitcode == -9, "it was over before it was killed"
        killed += 1
        saved = list(folder.glob("checkpoint_*.pt"))
        again = start(folder, *overrides, *([f"resume_from={folder}"] if saved else []))
        again.join()
        assert again.exitcode == 0
        assert result(folder) == expected


@pytest.fixture
def stopped(tmp_path):
    job(tmp_path / "stopped", "trainer.max_epochs=2", "scheduler.cycle_size=1ep")
    return tmp_path / "stopped"


def curve(cycle_mult):
    return CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=cycle_mult).values(range(45))


def test_a_changed_schedule_stops_it(stopped, tmp_path):
    with pytest.raises(
        ConfigError, match=r"scheduler lr: .*cycle_mult is 2\.0 there and 3\.0 here.*on_mismatch=config"
    ):
        job(tmp_path / "new", f"resume_from={stopped}", "scheduler.cycle_mult=3")


@pytest.mark.parametrize(("policy", "mult"), [("config", 3), ("checkpoint", 2)])
def test_or_goes_on_as_chosen(stopped, tmp_path, policy, mult):
    choice = ["scheduler.cycle_mult=3", f"scheduler.on_mismatch={policy}"]
    job(tmp_path / "new", f"resume_from={stopped}", *choice)
    assert rates(tmp_path / "new") == [*curve(2)[:30], *curve(mult)[30:]]
    assert (tmp_path / "new/schedule.png").exists()


def test_a_longer_run_and_one_that_is_done(stopped, capsys):
    job(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    whole = rates(stopped)
    assert whole == curve(2).tolist()
    accuracy = job(stopped, f"resume_from={stopped}")
    assert rates(stopped) == whole, "nothing is lost, nothing is trained again"
    assert f"validation accuracy {accuracy:.4f} after 3 epochs" in capsys.readouterr().out


def test_the_last_good_checkpoint_is_found(stopped):
    file, checkpoint = last_checkpoint(stopped)
    assert (file.name, checkpoint["trainer"]["iteration"]) == ("checkpoint_30.pt", 30)
    file.write_bytes(file.read_bytes()[:1000])
    assert last_checkpoint(stopped)[0].name == "checkpoint_15.pt"
    assert last_checkpoint(stopped / "checkpoint_15.pt")[0].name == "checkpoint_15.pt"
    (stopped / "checkpoint_15.pt").write_bytes(b"")
    for path in (stopped, stopped / "checkpoint_15.pt", Path("nowhere")):
        with pytest.raises(ConfigError, match="holds no checkpoint that can be read"):
            last_checkpoint(path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.batch_size=48"], "epochs of 15 iterations, this one has 30: keep trainer.batch_size"),
        (["model.channels=3"], "(?s)model: .*size mismatch"),
        (["+scheduler@scheduler.beta=linear_cyclical", "~scheduler"], "scheduler"),
        (
            ["trainer.ema_momentum=0.1"],
            "holds trainer, model, optimizer, scheduler lr, but this config makes .*average",
        ),
        (["trainer.checkpoint_every=1e"], "trainer.checkpoint_every='1e' is no duration"),
        (["snapshots=true", "~scheduler"], "snapshots=true saves a checkpoint a cycle, but there is no scheduler"),
    ],
)
def test_what_cannot_be_continued_is_refused(stopped, tmp_path, overrides, message):
    with pytest.raises(Exception, match=message) as error:
        job(tmp_path / "new", f"resume_from={stopped}", *overrides)
    assert "Traceback" not in str(error.value)


def test_renamed_schedulers_are_the_configs_if_it_says_so(stopped, tmp_path):
    named = ["~scheduler", "+scheduler@scheduler.rate=digits"]
    with pytest.raises(ConfigError, match=r"but this config makes .*scheduler rate: use"):
        job(tmp_path / "new", f"resume_from={stopped}", *named)
    job(tmp_path / "new", f"resume_from={stopped}", *named, "scheduler.rate.on_mismatch=config")
    assert [float(row["rate"] or "nan") for row in history(tmp_path / "new")][30:] == curve(2)[30:].tolist()


def test_a_snapshot_a_cycle(tmp_path):
    job(tmp_path / "whole", "snapshots=true", "scheduler.cycle_size=10it")
    snapshots = [f"snapshot_{i}.pt" for i in (10, 30)]
    assert sorted(path.name for path in (tmp_path / "whole").glob("snap*")) == snapshots
    resumed = ["scheduler.cycle_size=10it", f"resume_from={tmp_path / 'whole/snapshot_10.pt'}"]
    job(tmp_path / "again", *resumed)
    assert result(tmp_path / "again") == result(tmp_path / "whole"), "from the middle of an epoch"
