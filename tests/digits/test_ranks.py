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
from helpers import JOB, Run, Start, column, composed, history
from ignite.engine import Events

from cosched import ConfigError, CosineAnnealing
from cosched.digits import ranks, training

TWO = ("distributed.nproc_per_node=2", "trainer.progress_bar=false")
CURVE = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2)


def test_a_number_of_processes_that_cannot_be_is_refused(tmp_path):
    config = composed(*TWO)
    for count in (0, -1):
        config.distributed.nproc_per_node = count
        message = rf"^distributed\.nproc_per_node={count} must be at least 1, or null for this process$"
        with pytest.raises(ConfigError, match=message):
            ranks.train(config, tmp_path)
    config.distributed.nproc_per_node, config.trainer.batch_size = 2, 95
    with pytest.raises(ConfigError, match=r"^trainer\.batch_size=95 cannot be shared by distributed\.nproc_per_node=2"):
        ranks.train(config, tmp_path)
    config.trainer.batch_size, config.distributed.backend = 96, "carrier-pigeon"
    with pytest.raises(ConfigError, match=r"^distributed\.backend=carrier-pigeon is not one that torch has here: "):
        ranks.train(config, tmp_path)
    assert not list(tmp_path.iterdir())


def compared(local_rank, folder):
    """Train as one of two ranks, and compare with the other what the optimizers hold in every iteration."""
    original = training.attach

    def attach(trainer, node, optimizer):
        schedulers = original(trainer, node, optimizer)
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
        return schedulers

    training.attach = attach
    named = ["+scheduler@scheduler.lr=digits", "+scheduler@scheduler.momentum=one_cycle_momentum", "~scheduler"]
    ranks._rank(local_rank, composed(*TWO, *named, "trainer.max_epochs=3"), folder)


@pytest.mark.slow
def test_every_rank_has_the_same_values_in_every_iteration(tmp_path):
    idist.spawn("gloo", compared, args=(tmp_path,), nproc_per_node=2, master_port=29511)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert len(first) == 45
    assert first == second
    assert [rate for rate, _ in first] == CURVE.values(range(45)).tolist()


@pytest.mark.slow
def test_two_ranks_train_as_one_does_and_one_writes(tmp_path):
    run = Run(JOB, *TWO, "hydra.run.dir=out", cwd=tmp_path).check()
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["val_accuracy"] >= 0.96
    assert run.out.count("validation accuracy") == 1
    rows = history(tmp_path / "out")
    assert [int(row["iteration"]) for row in rows] == list(range(1, 226)), "each batch is shared: as many as on one"
    assert column(rows, "lr") == CURVE.values(range(225)).tolist()
    for count, epochs, loop in (("3", 16, "torch"), ("null", 17, "ignite")):
        of_run = [f"distributed.nproc_per_node={count}", f"trainer.max_epochs={epochs}", f"loop={loop}"]
        more = [*of_run, "resume_from=out"]
        again = Start(JOB, "trainer.progress_bar=false", "hydra.run.dir=out", *more, cwd=tmp_path).check()
        assert again.out.count(f"resumed from out/checkpoint_{epochs * 15 - 15}.pt: iteration {epochs * 15 - 15}") == 1
    assert column(history(tmp_path / "out"), "lr") == CURVE.values(range(255)).tolist()
    before = (tmp_path / "out/history.csv").read_bytes()
    refused = Run(JOB, *TWO, "hydra.run.dir=out", cwd=tmp_path)
    assert refused.status == 1
    assert "has the checkpoints of a run" in refused.err
    assert (tmp_path / "out/history.csv").read_bytes() == before


@pytest.mark.slow
def test_a_mistake_is_told_without_a_traceback(tmp_path):
    run = Run(JOB, *TWO, "scheduler.cycle_size=1", "scheduler.cycle_mult=1", cwd=tmp_path)
    assert run.status == 1
    assert "scheduler: cycle_size=1 must be a whole number of at least 2" in run.err
    assert "Traceback" not in run.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the ranks in /proc")
def test_a_killed_rank_ends_the_run(tmp_path):
    command = [JOB, *TWO, "trainer.max_epochs=100000", "hydra.run.dir=out"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as job:
        rows = tmp_path / "out/history.csv"
        while not (rows.exists() and rows.read_bytes().count(b"\n") > 20):
            assert job.poll() is None
            time.sleep(0.05)
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        spawned = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(spawned) == 2
        os.kill(spawned[-1], signal.SIGKILL)
        _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "rank 1 of 2 has ended the run: process 1 terminated with signal SIGKILL" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in spawned)
