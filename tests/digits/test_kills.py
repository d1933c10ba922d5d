"""Runs that are killed, at any time and in the middle of a resume, and continued."""

import contextlib
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


def killed_before(operation, folder, *overrides):
    """Train, and be killed before the given change of a file in ``folder`` that Python is about to make."""
    left = [operation]

    def count(event, arguments):
        changes = event in ("os.rename", "os.remove", "os.mkdir") or (event == "open" and arguments[2] & os.O_ACCMODE)
        if changes and str(arguments[0]).startswith(str(folder)):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    train_tiny(folder, *overrides)


@pytest.mark.parametrize(
    ("operations", "rewind"),
    [
        ((6, 8), False),
        pytest.param(range(1, 100), False, marks=pytest.mark.slow),
        pytest.param(range(1, 100), True, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_while_it_resumes_loses_nothing(once, tmp_path, operations, rewind):
    train_tiny(tmp_path / "whole", THREE)
    expected = result(tmp_path / "whole")
    kills = 0
    for operation in operations:
        folder = shutil.copytree(once, tmp_path / f"killed_{operation}")
        source = folder / "checkpoint_15.pt" if rewind else folder
        process = start(operation, folder, f"resume_from={source}", THREE, target=killed_before)
        process.join()
        if process.exitcode == 0:  # there are no more changes of files
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        last = max(int(file.stem.rpartition("_")[2]) for file in folder.glob("*_*.pt"))
        assert len(history(folder)) >= last >= (15 if rewind else 30)
        train_tiny(folder, THREE, f"resume_from={folder}")
        assert result(folder) == expected
    print(f"killed {kills} times")
    assert kills == len(operations) or kills >= 12
