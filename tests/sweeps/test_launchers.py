"""Sweeps of the main job under other people's launchers and sweepers: ``make test-more`` installs and runs them."""

import contextlib
import csv
import math
import os
import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest
from helpers import ROOT, Run
from omegaconf import OmegaConf

pytestmark = pytest.mark.sweeps

JOB = Path(sys.executable).parent / "cosched-train"
CONF = ("-cd", ROOT / "conf", "-m")
QUICK = ("trainer.max_epochs=1", "trainer.progress_bar=false", "trainer.device=cpu", "hydra.sweep.dir=out")
GRID = ("scheduler=digits,step,wsd",)  # three classes that are made when asked for, in every process


def rows(folder):
    with (folder / "out/sweep.csv").open() as file:
        return list(csv.DictReader(file))


def checked(folder, jobs=3):
    """The rows of a sweep in which every job has one, with its value and a curve of its own."""
    table = rows(folder)
    assert [row["job"] for row in table] == [str(i) for i in range(jobs)]
    assert [row["error"] for row in table] == [""] * jobs
    assert len({row["fingerprint"] for row in table}) == jobs
    assert all(0 < float(row["value"]) <= 1 for row in table)
    assert len(list(folder.glob("out/*/metrics.json"))) == jobs
    return table


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The rows of the sweep under Hydra's own launcher."""
    folder = tmp_path_factory.mktemp("plain")
    Run(JOB, "-m", *QUICK, *GRID, cwd=folder).check()
    return checked(folder)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_sweep_in_other_processes_is_that_of_hydras_own_launcher(tmp_path, plain, launcher):
    Run(JOB, "-m", f"hydra/launcher={launcher}", *QUICK, *GRID, cwd=tmp_path).check()
    assert checked(tmp_path) == plain


def test_a_sweep_on_ray(tmp_path, plain):
    # Its sockets need a short path; it may still write there when the command has ended.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        init = {"include_dashboard": "false", "num_cpus": 2, "_temp_dir": folder}
        local = [f"+hydra.launcher.ray.init.{key}={value}" for key, value in init.items()]
        Run(JOB, "-m", "hydra/launcher=ray", *local, *QUICK, *GRID, cwd=tmp_path).check()
    assert checked(tmp_path) == plain


SBATCH = """#!/bin/bash
# Runs the tasks of a job array here and now, side by side, each with what Slurm tells a task.
cp "$1" submitted.sh
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' submitted.sh)
export SLURM_ARRAY_JOB_ID=70 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_CPUS_PER_TASK=1
for i in $(seq 0 "$last"); do
    SLURM_JOB_ID=$((70 + i)) SLURM_ARRAY_TASK_ID=$i bash submitted.sh >"task$i.log" 2>&1 &
done
echo "Submitted batch job 70"
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --unbuffered ]] || shift; shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
"""


def test_a_sweep_on_slurm(tmp_path, monkeypatch, plain):
    (tmp_path / "bin").mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    asked = ["hydra/launcher=slurm", "hydra.launcher.partition=short", "hydra.launcher.array_parallelism=2"]
    Run(JOB, *CONF, *asked, *QUICK, *GRID, cwd=tmp_path).check()
    assert checked(tmp_path) == plain
    options = (tmp_path / "submitted.sh").read_text()
    for option in ("partition=short", "time=60", "gpus-per-node=1", "mem=16GB", "array=0-2%2"):
        assert f"#SBATCH --{option}\n" in options


def test_optuna_searches(tmp_path):
    search = ["hydra/sweeper=search", "hydra.sweeper.n_trials=3", "hydra/launcher=joblib"]
    Run(JOB, *CONF, *search, *QUICK, "scheduler.cycle_size=5", cwd=tmp_path).check()
    table = checked(tmp_path)
    best = max(table, key=lambda row: float(row["value"]))
    found = OmegaConf.load(tmp_path / "out/optimization_results.yaml")
    assert found.best_value == float(best["value"])
    assert found.best_params == {key: float(best[key]) for key in found.best_params}
    for key, low, high in (("scheduler.cycle_mult", 1, 3), ("scheduler.start_value_mult", 0.5, 1)):
        assert len({row[key] for row in table}) == 3
        assert all(low <= float(row[key]) <= high for row in table)


def test_optuna_counts_a_failed_job_as_such_and_keeps_the_study(tmp_path):
    study = ["hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=kept", "hydra.sweeper.n_trials=3"]
    optuna = ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.seed=1"]
    run = Run(JOB, "-m", *optuna, *study, *QUICK, "scheduler.cycle_mult=choice(0,1)", cwd=tmp_path)
    assert run.status == 1, "for a job failed"
    table = rows(tmp_path)
    failed = [row["scheduler.cycle_mult"] == "0" for row in table]
    assert sorted(set(failed)) == [False, True]
    assert ["cycle_mult=0.0 must be above 0" in row["error"] for row in table] == failed
    assert [not row["value"] for row in table] == failed
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials ORDER BY number")]
    assert states == ["FAIL" if fail else "COMPLETE" for fail in failed]


def test_a_search_is_previewed(tmp_path):
    search = ["hydra/sweeper=search", "hydra.sweeper.n_trials=4", "hydra/launcher=preview", "hydra.sweep.dir=out"]
    run = Run(JOB, *CONF, *search, cwd=tmp_path).check()
    assert "composed 4 jobs" in run.out
    with (tmp_path / "out/schedules.csv").open() as file:
        assert {row["job"] for row in csv.DictReader(file)} == {"0", "1", "2", "3"}
    assert OmegaConf.load(tmp_path / "out/optimization_results.yaml").best_value == 0.0
    assert not list(tmp_path.rglob("schedule.json")), "no job ran"
    assert not list(tmp_path.rglob("history.csv"))


def search(folder, choice):
    """A search of six trials with the app that is not ours, in batches of two."""
    report = ["hydra/callbacks=schedule_report", "hydra.sweep.dir=out"]
    optuna = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2"]
    seeds = ["hydra.sweeper.sampler.seed=1", "seed=interval(0,1)"]
    return Run(sys.executable, "app.py", "-m", *report, *optuna, *seeds, f"do=choice({choice})", cwd=folder)


def test_optuna_goes_on_after_nan(folder):
    search(folder, "score,not_a_number").check()
    values = [float(row["value"]) for row in rows(folder)]
    assert len(values) == 6
    scores = [value for value in values if not math.isnan(value)]
    assert 0 < len(scores) < 6
    assert OmegaConf.load(folder / "out/optimization_results.yaml").best_value == min(scores)


@pytest.mark.parametrize("choice", ["fail", "not_a_number", "exit"])
def test_a_search_in_which_no_trial_has_a_value_leaves_its_table_and_a_status(folder, choice):
    assert search(folder, choice).status == 1
    assert len(rows(folder)) == 6
