"""Runs that are killed, at any time and in the middle of a resume, and continued."""

import contextlib
import gc
import os
import random
import shutil
import signal
import sys
import time

import pytest
import torch
from helpers import SERVER, history, train_tiny

THREE = "trainer.max_epochs=3"
BY_EVENT = {
    "iterations": ("scheduler.cycle_size=20it", "scheduler.cycle_mult=1.5", "trainer.checkpoint_every=4"),
    "epochs": ("scheduler.cycle_size=2ep", "scheduler.event=EPOCH_STARTED", "trainer.checkpoint_every=7"),
}


def start(*arguments, target=train_tiny):
    process = SERVER.Process(target=target, args=arguments)
    process.start()
    return process


def lines(folder):
    with contextlib.suppress(FileNotFoundError):
        return (folder / "history.csv").read_bytes().count(b"\n")
    return 0


def result(folder):
    """All that a run leaves which must not depend on whether it was killed."""
    assert not [path.name for path in folder.iterdir() if path.name.startswith("tmp") or path.suffix == ".part"]
    assert not (folder / "run.lock").exists()
    checkpoint = torch.load(folder / "checkpoint_45.pt", weights_only=True)
    return history(folder), {name: weights.tolist() for name, weights in checkpoint["model"].items()}


def resumed(folder):
    """The override that continues a run, if it has come to a checkpoint."""
    return [f"resume_from={folder}"] if list(folder.glob("checkpoint_*.pt")) else []


def killed(folder, after, rng, *overrides):
    """Kill a run when it has written so many lines of its history, or soon after."""
    process = start(folder, *overrides, *resumed(folder))
    while process.is_alive() and lines(folder) <= after:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.01))
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it was over before it was killed"


@pytest.mark.parametrize(
    ("event", "points"),
    [("iterations", 1), *(pytest.param(event, 10, marks=pytest.mark.slow) for event in BY_EVENT)],
)
def test_a_killed_run_is_continued_bit_by_bit(tmp_path, event, points):
    overrides = [*BY_EVENT[event], THREE]
    train_tiny(tmp_path / "whole", *overrides)
    expected = result(tmp_path / "whole")
    assert len(expected[0]) == 45
    rng = random.Random(f"{event} {points}")
    for point in range(points):
        folder = tmp_path / f"killed_{point}"
        after = rng.randrange(42)
        killed(folder, after, rng, *overrides)
        if point % 2:  # and once more, later
            killed(folder, rng.randrange(after, 42), rng, *overrides)
        train_tiny(folder, *overrides, *resumed(folder))
        assert result(folder) == expected


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["ignite", "torch"])
def test_a_killed_branch_is_continued_bit_by_bit(tmp_path, loop):
    trunk = ["scheduler=constant", "scheduler.value=0.1", "trainer.max_epochs=1", "trainer.checkpoint_every=4"]
    train_tiny(tmp_path / "trunk", *trunk)
    branch = ["scheduler=linear_decay", "scheduler.start_value=null", "scheduler.on_mismatch=branch", f"loop={loop}"]
    overrides = [*branch, THREE, "trainer.checkpoint_every=4", f"resume_from={tmp_path / 'trunk'}"]
    train_tiny(tmp_path / "whole", *overrides)
    expected = result(tmp_path / "whole")
    rng = random.Random(loop)
    for point in range(3):
        folder = tmp_path / f"killed_{point}"
        killed(folder, rng.randrange(16, 40), rng, *overrides)
        train_tiny(folder, *overrides, *resumed(folder))
        assert result(folder) == expected


def steps(act, folder, *overrides):
    """Train, and call ``act`` with the name of each function that is entered or left while the run begins to write."""
    inside = False

    def profile(frame, event, function):
        nonlocal inside
        if frame.f_code.co_name == "begin_to_write" and event in ("call", "return"):
            inside = event == "call"
        if inside:
            act(event, function.__name__ if event.startswith("c_") else frame.f_code.co_name)

    gc.disable()  # What it calls would be steps, now here and now there.
    sys.setprofile(profile)
    try:
        train_tiny(folder, *overrides)
    finally:
        sys.setprofile(None)
        gc.enable()


def killed_in(step, folder, *overrides):
    """Train, and be killed in that step; or, with a negative one, just after a file has been opened so many times."""
    seen = opened = 0

    def count(event, name):
        nonlocal seen, opened
        seen += 1
        opened += (event, name) == ("c_return", "open")
        if step in (seen, -opened):
            os.kill(os.getpid(), signal.SIGKILL)

    steps(count, folder, *overrides)


def counted(folder, *overrides):
    """Train, and leave the number of steps, and of those that open a file, beside the folder."""
    done = []
    steps(lambda *step: done.append(step), folder, *overrides)
    folder.with_suffix(".steps").write_text(f"{len(done)} {done.count(('c_return', 'open'))}")


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "rewind"), [(20, False), (20, True)])
def test_a_run_that_is_killed_while_it_resumes_loses_nothing(once, tmp_path, kills, rewind):
    def resuming(folder):
        return folder, f"resume_from={folder / 'checkpoint_15.pt' if rewind else folder}", "trainer.max_epochs=3"

    whole = shutil.copytree(once, tmp_path / "whole")
    # Counted where it is killed, in a process of its own: here, pytest's log handlers would be steps as well.
    start(*resuming(whole), target=counted).join()
    expected = result(whole)
    done, opened = map(int, whole.with_suffix(".steps").read_text().split())
    assert opened >= 3, "the id of the run, the earlier rows, those to come"
    for step in (*range(-opened, 0), *range(1, done, done // kills)):
        folder = shutil.copytree(once, tmp_path / f"killed_{step}")
        process = start(step, *resuming(folder), target=killed_in)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        last = max(int(file.stem.rpartition("_")[2]) for file in folder.glob("*_*.pt"))
        assert len(history(folder)) >= last >= (15 if rewind else 30)
        train_tiny(folder, "trainer.max_epochs=3", f"resume_from={folder}")
        assert result(folder) == expected
