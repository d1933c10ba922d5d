"""What tells jobs apart: names of keys, jobs that repeat each other."""

import shlex
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from cosched.sweeps.curves import evaluate
from cosched.sweeps.jobs import (
    command,
    differing,
    joined,
    names,
    of_schedule,
    program,
    ranges,
    repeats,
    repetition,
    schedules,
    words,
)

COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 0.1, "end_value": 0, "cycle_size": 10}


@pytest.mark.parametrize(
    ("keys", "paths", "called"),
    [
        (["scheduler.cycle_mult", "seed"], ["scheduler"], ["cycle_mult", "seed"]),
        (["scheduler.lr.cycle_mult"], ["scheduler.lr", "scheduler.momentum"], ["lr.cycle_mult"]),
        (["s.a.x", "s.b.x", "y"], [], ["a.x", "b.x", "y"]),
        (["a.lr", "lr"], [], ["a.lr", "lr"]),
        (["scheduler.phases.up.duration"], ["scheduler"], ["duration"]),
        (["+experiment", "~scheduler"], [], ["+experiment", "~scheduler"]),
    ],
)
def test_a_key_is_called_by_as_much_of_it_as_tells_it_from_others(keys, paths, called):
    assert list(names(keys, paths).values()) == called


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        ("src/app.py -m seed=1,2", "python src/app.py"),
        ("/bin/cosched-train -m", "cosched-train"),
        ("app.py -cn other --config-dir=conf -m x=1", "python app.py -cn other --config-dir=conf"),
    ],
)
def test_the_command_of_a_job_can_be_typed(argv, typed, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv.split())
    given = command({"~scheduler": "", "a.b": "1", "note": "$x and y"}, program())
    assert shlex.split(given) == shlex.split(f"{typed} ~scheduler a.b=1 'note=$x and y'")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["apps.one", "apps"])
def test_the_command_of_a_module_is_that_of_a_module(name, tmp_path):
    (tmp_path / "apps").mkdir()
    for file in ("one", "__main__"):
        (tmp_path / f"apps/{file}.py").write_text(
            "from cosched.sweeps.jobs import command, program\nprint(command({'a': '1'}, program()))"
        )
    run = subprocess.run([sys.executable, "-m", name], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == f"python -m {name} a=1\n"


@pytest.mark.parametrize("argv", [["/bin/cosched", "report", "out"], ["-c"], [""]])
def test_what_is_no_app_has_no_command(argv, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    assert command({"a": "1"}, program()) == ""


def test_a_deletion_has_no_value():
    assert words({"~scheduler": "", "a.b": "1"}, names(["~scheduler", "a.b"])) == ["~scheduler", "b=1"]


@pytest.mark.parametrize(
    ("numbers", "short"), [([], ""), ([3], "3"), ([0, 1], "0, 1"), ([0, 1, 2, 5, 7, 8, 9], "0-2, 5, 7-9")]
)
def test_numbers_in_short(numbers, short):
    assert ranges(numbers) == short


@pytest.mark.parametrize(
    ("key", "whether"),
    [
        ("scheduler.lr.cycle_mult", True),
        ("scheduler.lr", True),
        ("scheduler", True),
        ("scheduler@scheduler.lr", True),
        ("+scheduler.lr.num_cycles", True),
        ("scheduler.other.x", False),
        ("seed", False),
        ("experiment", False),
        ("sched", False),
    ],
)
def test_whether_an_override_is_of_a_schedule(key, whether):
    assert of_schedule(key, ["scheduler.lr"]) is whether


def sweep(*jobs):
    found = []
    for overrides in jobs:
        fields = {key.rpartition(".")[2]: float(v) for key, v in overrides.items() if key.startswith("scheduler.")}
        config = OmegaConf.create({"scheduler": {**COSINE, **fields}})
        found.append((overrides, evaluate(config, 1, 50)[0]))
    return found


def test_jobs_that_differ_in_what_makes_no_difference_repeat_each_other():
    jobs = sweep(*({"scheduler.cycle_mult": m, "seed": s} for s in "01" for m in ("1", "1.05", "2")))
    assert repeats(jobs, [()] * 6) == {1: 0, 4: 3}
    said = repetition(jobs[4][0], jobs[3][0], (), "job 3")
    assert said == ["does the same as job 3: scheduler.cycle_mult=1.05 makes no difference"]


def test_a_sweep_over_seeds_or_sizes_of_a_model_repeats_nothing():
    assert (
        repeats(sweep({"seed": "0", "model": "a"}, {"seed": "1", "model": "a"}, {"seed": "1", "model": "b"}), [()] * 3)
        == {}
    )


def test_what_has_no_effect_makes_no_other_job_and_is_not_told_twice():
    jobs = sweep({"optimizer.lr": "1"}, {"optimizer.lr": "2"})
    assert repeats(jobs, [["optimizer.lr"]] * 2) == {1: 0}
    assert repetition(jobs[1][0], jobs[0][0], ["optimizer.lr"], "job 0") == []
    assert repetition({}, {}, [], "job 0") == ["does the same as job 0"]


def test_only_overrides_that_differ_tell_jobs_apart():
    assert differing([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "b": "3", "c": "4"}]) == ["b", "c"]


def test_no_key_is_called_what_a_schedule_drives():
    keys = ["optimizer.lr", "scheduler.lr.cycle_size", "lr"]
    assert list(names(keys, [], ["lr"]).values()) == ["optimizer.lr", "cycle_size", "lr"]


def test_schedules_are_called_by_what_they_drive_and_by_their_own_names_where_there_are_several():
    fields = {
        "head": {},
        "momentum": {"param_name": "momentum"},
        "wd": {"param_name": "weight_decay", "relative": True},
    }
    made = {"scheduler": {name: {**COSINE, **more} for name, more in fields.items()}}
    curves, _ = evaluate(OmegaConf.create(made), 1, 10)
    assert list(schedules(curves).values()) == ["head: lr", "momentum", "wd: weight_decay (factor)"]
    assert list(schedules(curves[:1]).values()) == ["lr"]


def test_of_several_jobs_the_values_are_named_together():
    jobs = [{"seed": "1", "model": "conv"}, {"seed": "2"}]
    assert joined(jobs) == {"seed": "1, 2", "model": "conv"}
