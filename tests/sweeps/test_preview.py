"""Looking before running: curves of composed configs, the preview launcher, the report on a sweep."""

import csv
import json
import math
import os
import re
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import Run
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cosched import CosineAnnealing, LinearCyclical
from cosched.config.schemas import CONFIGS
from cosched.sweeps.curves import BUCKETS, curve, declared, first_restarts, sample
from cosched.sweeps.jobs import differing

FIELDS = {
    "_target_": "cosched.CosineAnnealingScheduler",
    "start_value": 0.1,
    "end_value": 0.001,
    "cycle_size": 10,
    "cycle_mult": 2.0,
}


def evaluate(**fields):
    return curve("scheduler", {**FIELDS, **fields}, epochs=10, epoch_length=15)


# Curves


@given(st.integers(1, 40_000), st.integers(2, 3000), st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_a_sample_is_small_and_keeps_every_peak_and_trough(num_events, size, mult):
    schedule = LinearCyclical(start_value=0.1, end_value=1, cycle_size=size, cycle_mult=mult, end_value_mult=0.9)
    events, values, _ = sample(schedule, num_events)
    everything = schedule.values(range(num_events))
    assert len(events) <= 2 * BUCKETS + 1
    assert (np.diff(events) > 0).all()
    assert (values == everything[events]).all()
    assert (values.min(), values.max(), values[-1]) == (everything.min(), everything.max(), everything[-1])
    width = -(-num_events // BUCKETS)
    for first in range(0, num_events, width):
        within = values[(events >= first) & (events < first + width)]
        bucket = everything[first : first + width]
        assert (within.min(), within.max()) == (bucket.min(), bucket.max())


def test_a_fingerprint_is_of_all_values_and_of_nothing_else():
    spelt = {evaluate().fingerprint, evaluate(cycle_mult=2, num_cycles=9, param_name="momentum").fingerprint}
    assert len(spelt) == 1
    assert evaluate(end_value=0.001 + 1e-15).fingerprint not in spelt
    assert evaluate(event="EPOCH_STARTED").fingerprint not in spelt


def test_memory_is_bounded_for_long_runs():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=2)
    schedule(0)
    tracemalloc.start()
    try:
        sample(schedule, 3_000_000)
        first_restarts(schedule, 3_000_000, 4)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000 * 8 / 2, "less than half of the values at once"


@pytest.mark.parametrize(
    ("fields", "cycles", "restarts"),
    [({}, 4, [10, 30, 70]), ({"cycle_mult": 1, "num_cycles": 3}, 3, [10, 20]), ({"event": "EPOCH_STARTED"}, 1, [])],
)
def test_cycles_and_restarts_of_a_run(fields, cycles, restarts):
    found = evaluate(**fields)
    assert found.schedule.cycles(found.num_events) == cycles
    assert first_restarts(found.schedule, found.num_events, 9) == restarts


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"cycle_mult": 1.05}, r"cycle_mult=1\.05 has no effect"),
        ({"cycle_mult": 0.5}, "cycles shrink to nothing at event 17"),
        ({"cycle_size": 1000}, r"the end value 0\.001 is never reached, only 0\.09"),
        ({"start_value_mult": 1e200, "cycle_mult": 1}, r"lr is inf at event 20: it must be finite"),
        ({"end_value": -0.1, "endpoint": True}, r"lr is -0\.017\d+ at event 5: it must be finite and at least 0"),
        ({"param_name": "momentum", "start_value": 1, "endpoint": True}, "momentum is 1 at event 0: .* below 1"),
    ],
)
def test_findings(fields, finding):
    with np.errstate(all="ignore"):
        found = evaluate(**fields)
    assert [text for text in found.findings if re.search(finding, text)], found.findings


def test_a_sound_schedule_has_no_findings():
    assert evaluate(endpoint=True).findings == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cycle_mult": 0}, "cycle_mult=0.0 must be above 0"),
        ({"cycle_mlt": 2}, "Key 'cycle_mlt' not in 'CosineAnnealingConfig'"),
        ({"event": "ITERATION"}, "Invalid value 'ITERATION'"),
        ({"cycle_size": "???"}, "missing mandatory value: cycle_size"),
        ({"cycle_size": "3e"}, "cycle_size='3e' is no duration"),
        ({"cycle_size": "10it", "event": "EPOCH_STARTED"}, "cycle_size='10it' is not a whole number of epochs of 15"),
    ],
)
def test_an_invalid_schedule_is_a_value_error(fields, message):
    with pytest.raises(ValueError, match=message):
        evaluate(**fields)


def test_durations_have_the_units_of_the_previewed_run():
    assert evaluate(cycle_size="1ep").fingerprint == evaluate(cycle_size=15).fingerprint
    assert evaluate(cycle_size="20%").schedule.cycle_size == 30
    assert evaluate(cycle_size="20%", event="EPOCH_STARTED").schedule.cycle_size == 2


def test_a_run_without_events_is_refused():
    with pytest.raises(ValueError, match="epochs=0 of epoch_length=15 has no events"):
        curve("scheduler", FIELDS, epochs=0, epoch_length=15)


def test_schedulers_are_found_wherever_they_stand():
    config = OmegaConf.create(
        {
            "deep": {"list": [{"a": FIELDS}, None, {"_target_": "cosched.schedulers.LinearCyclicalScheduler"}]},
            "typed": OmegaConf.structured(CONFIGS.cosine_annealing),
            "others": {"_target_": "torch.optim.SGD", "lr": "${nowhere}"},
            "not_ours": {"_target_": "coscheduler.CosineAnnealingScheduler"},
            "missing": "???",
            "hydra": {"x": FIELDS},
        }
    )
    assert declared(config) == ["deep.list[0].a", "deep.list[2]", "typed"]


def test_only_overrides_that_differ_tell_jobs_apart():
    assert differing([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "b": "3", "c": "4"}]) == ["b", "c"]


# The launcher and the callback, in an app that is not ours

APP = """
import sys
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg):
    assert not cfg.previewed, "the task ran"
    if cfg.seed == 3:
        raise RuntimeError("as asked")
    return OmegaConf.to_object(cfg.train.schedule)(50) + cfg.seed

main()
print("heavy:", sorted({"torch", "ignite"} & sys.modules.keys()))
"""

CONFIG = """
defaults:
  - scheduler@train.schedule: cosine_annealing
  - _self_
previewed: false
seed: 0
epochs: 4
train:
  schedule: {start_value: 0.1, end_value: 0.001, cycle_size: 15, cycle_mult: 2}
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return lambda *arguments: Run(sys.executable, "app.py", "-m", "hydra.sweep.dir=out", *arguments, cwd=tmp_path)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_preview_in_any_app(app, tmp_path):
    length = ["hydra.launcher.epochs=${epochs}", "hydra.launcher.epoch_length=25"]
    sweep = ["train.schedule.cycle_mult=1,1.05,1.5,2", "train.schedule.start_value_mult=1,0.8"]
    run = app("hydra/launcher=preview", "previewed=true", *length, *sweep).check()
    assert run.out.count("train.schedule (lr)") == 8
    assert run.out.count("has no effect") == 2
    assert "same curve as job 0" in run.out
    assert "same curve as job 1" in run.out
    assert "evaluated 8 schedules at 800 events" in run.out
    assert "heavy: []" in run.out
    assert sorted(path.name for path in (tmp_path / "out").glob("sch*")) == ["schedules.csv", "schedules.png"]
    table = rows(tmp_path / "out/schedules.csv")
    last = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2, start_value_mult=0.8)
    assert [float(row["value"]) for row in table if row["job"] == "7"] == last.values(range(100)).tolist()
    assert {(row["schedule"], row["event"]) for row in table} == {("train.schedule", str(i)) for i in range(100)}


def test_preview_shows_all_jobs_and_fails_for_an_invalid_one(app, tmp_path):
    run = app("hydra/launcher=preview", "previewed=true", "train.schedule.cycle_mult=0.5,0,2")
    assert run.status == 1
    assert "Traceback" not in run.err
    assert run.out.count("train.schedule (lr)") == 2
    assert "cycles shrink to nothing at event" in run.out
    assert "error: cycle_mult=0.0 must be above 0" in re.sub(r"[│\s]+", " ", run.out)
    assert {row["job"] for row in rows(tmp_path / "out/schedules.csv")} == {"0", "2"}


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]])
def test_the_report_on_a_sweep_with_a_failed_job(app, tmp_path, launcher):
    sweep = ["hydra/callbacks=schedule_report", "seed=1,2,3", "train.schedule.cycle_mult=1,2"]
    run = app(*sweep, *launcher)
    assert run.status == 1, "for a job failed"
    table = rows(tmp_path / "out/sweep.csv")
    assert [(row["job"], row["seed"], row["train.schedule.cycle_mult"]) for row in table] == [
        (str(2 * i + j), str(i + 1), str(j + 1)) for i in range(3) for j in range(2)
    ]
    schedules = [CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=m) for m in (1, 2)]
    values = [float(row["value"]) for row in table[:4]]
    assert values == [schedule(50) + seed for seed in (1, 2) for schedule in schedules]
    assert [(row["value"], row["error"]) for row in table[4:]] == [("", "RuntimeError: as asked")] * 2
    assert len({row["fingerprint"] for row in table}) == 2
    lines = [line for line in run.out.splitlines() if "seed=" in line and "│" in line]
    ranked = [line.split("│")[2].strip() for line in lines]
    best = sorted(range(4), key=lambda i: -values[i])
    assert ranked == [*map(str, best), "4", "5"]
    assert (tmp_path / "out/sweep.png").read_bytes().startswith(b"\x89PNG")
    state = json.loads((tmp_path / "out/1/schedule.json").read_text())
    assert state["schedules"]["train.schedule"]["restarts"][:3] == [15, 45, 105]
    assert state["schedules"]["train.schedule"]["fields"]["cycle_mult"] == 2.0
    assert (tmp_path / "out/1/schedule.png").exists()


def test_the_report_leaves_an_earlier_sweep_in_the_folder_out(app, tmp_path):
    app("hydra/callbacks=schedule_report", "seed=0,1,2").check()
    old = tmp_path / "out/2/schedule.json"
    os.utime(old, (0, 0))
    app("hydra/callbacks=schedule_report", "seed=0,1").check()
    assert [row["job"] for row in rows(tmp_path / "out/sweep.csv")] == ["0", "1"]
    assert all(math.isfinite(float(row["value"])) for row in rows(tmp_path / "out/sweep.csv"))
