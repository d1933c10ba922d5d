"""The main job on several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ignite.distributed as idist
import pytest
import torch
from helpers import Run
from hydra import compose, initialize_config_module
from ignite.engine import Events
from test_train import JOB, column, history

import cosched.digits.command  # noqa: F401  # registers the resolver that the config uses
from cosched import CosineAnnealing

pytestmark = pytest.mark.slow
TWO = ("distributed.nproc_per_node=2", "trainer.progress_bar=false")
CURVE = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2)


def compared(local_rank, folder):
    """Train as one of two ranks, and compare with the other what the optimizers hold in every iteration."""
    from cosched import digits, ranks

    original = digits.record

    def record(trainer, schedulers, file, earlier):
        held = []

        @trainer.on(Events.ITERATION_COMPLETED)
        def compare(trainer):
            values = [one.target.read()[0] for one in schedulers.values()]
            everybodys = idist.all_gather(torch.tensor([values], dtype=torch.float64))
            assert everybodys.shape == (2, 2)
            assert (everybodys[0] == everybodys[1]).all()
            held.append(everybodys[0].tolist())

        trainer.add_event_handler(
            Events.COMPLETED, lambda: (folder / f"{local_rank}.json").write_text(json.dumps(held))
        )
        return original(trainer, schedulers, file, earlier)

    digits.record = record
    named = ["+scheduler@scheduler.lr=digits", "+scheduler@scheduler.momentum=one_cycle_momentum", "~scheduler"]
    with initialize_config_module("cosched.train_conf", version_base="1.3"):
        config = compose("config", [*TWO, *named, "trainer.max_epochs=3"])
    ranks._rank(local_rank, config, folder)


def test_every_rank_has_the_same_values_in_every_iteration(tmp_path):
    idist.spawn("gloo", compared, args=(tmp_path,), nproc_per_node=2, master_port=29511)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert len(first) == 45
    assert first == second
    assert [rate for rate, _ in first] == CURVE.values(range(45)).tolist()


def test_two_ranks_train_as_one_does_and_one_writes(tmp_path):
    run = Run(JOB, *TWO, "hydra.run.dir=out", cwd=tmp_path).check()
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["val_accuracy"] >= 0.96
    assert run.out.count("validation accuracy") == 1
    rows = history(tmp_path / "out")
    assert [int(row["iteration"]) for row in rows] == list(range(1, 226)), "each batch is shared: as many as on one"
    assert column(rows, "lr") == CURVE.values(range(225)).tolist()
    for ranks, epochs in (("3", 16), ("null", 17)):
        more = [f"distributed.nproc_per_node={ranks}", f"trainer.max_epochs={epochs}", "resume_from=out"]
        Run(JOB, "trainer.progress_bar=false", "hydra.run.dir=out", *more, cwd=tmp_path).check()
    assert column(history(tmp_path / "out"), "lr") == CURVE.values(range(255)).tolist()


def test_mistakes_are_told_without_a_traceback(tmp_path):
    for override, message in (
        ("scheduler.cycle_size=1", "scheduler: cycle_size=1 must be a whole number of at least 2"),
        ("distributed.nproc_per_node=0", "distributed.nproc_per_node=0 must be a number of processes, or null"),
        ("trainer.batch_size=95", "trainer.batch_size=95 cannot be shared by distributed.nproc_per_node=2"),
    ):
        run = Run(JOB, *TWO, override, cwd=tmp_path)
        assert run.status == 1
        assert message in run.err
        assert "Traceback" not in run.err


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the ranks in /proc")
def test_a_killed_rank_ends_the_run(tmp_path):
    command = [JOB, *TWO, "trainer.max_epochs=100000", "hydra.run.dir=out"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as job:
        rows = tmp_path / "out/history.csv"
        while not (rows.exists() and rows.read_bytes().count(b"\n") > 20):
            assert job.poll() is None
            time.sleep(0.05)
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        ranks = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(ranks) == 2
        os.kill(ranks[-1], signal.SIGKILL)
        _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "rank 1 of 2 has ended the run: process 1 terminated with signal SIGKILL" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
