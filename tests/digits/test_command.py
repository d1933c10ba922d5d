"""The main job, run as a user runs it."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT, Run
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import cosched.digits.command  # noqa: F401  # registers the resolver that the config uses
from cosched import ConfigError, CosineAnnealing, LinearCyclical, PolynomialAnnealing, SqrtAnnealing
from cosched.digits.training import train

JOB = Path(sys.executable).parent / "cosched-train"
QUICK = ("trainer.max_epochs=2", "trainer.progress_bar=false")


def history(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return [float(row[name]) for row in rows]


def test_the_default_run_learns_the_digits(tmp_path):
    run = Run(JOB, "hydra.run.dir=out", cwd=tmp_path).check()
    out = tmp_path / "out"
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["val_accuracy"] >= 0.97
    assert f"validation accuracy {metrics['val_accuracy']:.4f}" in run.out
    for name in ("history.csv", "metrics.json", "schedule.png", f"checkpoint_{metrics['iterations']}.pt", ".hydra"):
        assert (out / name).exists()
        assert f"out/{name}" in run.out
    assert "/15 [" in run.err, "a progress bar"
    rows = history(out)
    assert list(rows[0]) == ["iteration", "epoch", "lr", "train_loss"]
    assert [int(row["iteration"]) for row in rows] == list(range(1, metrics["iterations"] + 1))
    state = torch.load(out / f"checkpoint_{metrics['iterations']}.pt", weights_only=True)
    assert state["trainer"]["iteration"] == metrics["iterations"]
    assert state["scheduler lr"]["event_index"] == metrics["iterations"]


def test_overrides_reach_every_iteration(tmp_path):
    run = ["scheduler.cycle_size=15", "scheduler.cycle_mult=2", "scheduler.start_value=0.2", "hydra.run.dir=out"]
    Run(JOB, *QUICK, *run, cwd=tmp_path).check()
    schedule = CosineAnnealing(start_value=0.2, end_value=0.001, cycle_size=15, cycle_mult=2)
    rates = column(history(tmp_path / "out"), "lr")
    assert rates == schedule.values(range(len(rates))).tolist()
    config = OmegaConf.load(tmp_path / "out/.hydra/config.yaml")
    assert config.scheduler.start_value == 0.2


def test_a_sweep_runs_each_point_in_its_folder(tmp_path):
    sweep = ["scheduler.cycle_mult=1,1.5,2", "scheduler.start_value_mult=1,0.8", "scheduler.cycle_size=10"]
    Run(JOB, "-m", *QUICK, *sweep, "hydra.sweep.dir=out", cwd=tmp_path).check()
    curves = {tuple(column(history(tmp_path / f"out/{job}"), "lr")) for job in range(6)}
    assert len(curves) == 6
    with (tmp_path / "out/sweep.csv").open() as file:
        returned = [float(row["value"]) for row in csv.DictReader(file)]
    metrics = [json.loads((tmp_path / f"out/{job}/metrics.json").read_text()) for job in range(6)]
    assert returned == [one["val_accuracy"] for one in metrics]


def test_the_preview_knows_the_length_of_the_run(tmp_path):
    sweep = ["trainer.batch_size=64,96", "trainer.max_epochs=3", "hydra.sweep.dir=out"]
    run = Run(JOB, "-m", "hydra/launcher=preview", *sweep, cwd=tmp_path).check()
    assert "evaluated 2 schedules at 114 events" in run.out, "3 epochs of 23, and 3 of 15 iterations"
    assert not list(tmp_path.rglob("history.csv"))


def experiments(tmp_path, names, accuracy):
    """The histories of these experiments, run in one sweep and each at least so accurate."""
    sweep = ["-m", "+experiment=" + ",".join(names), "hydra.sweep.dir=out", "hydra.sweep.subdir=${hydra.job.num}"]
    Run(JOB, "-cd", ROOT / "conf", *sweep, "trainer.progress_bar=false", cwd=tmp_path).check()
    folders = [tmp_path / f"out/{i}" for i in range(len(names))]
    for folder in folders:
        assert json.loads((folder / "metrics.json").read_text())["val_accuracy"] >= accuracy
    return dict(zip(names, map(history, folders), strict=True))


def test_the_experiments(tmp_path):
    names = ["sgdr", "clr", "lr_and_momentum", "two_groups"]
    rows = experiments(tmp_path, names, accuracy=0.95)

    sgdr = {int(row["epoch"]): float(row["lr"]) for row in rows["sgdr"]}
    assert max(sgdr) == 70
    assert [epoch - 1 for epoch, rate in sgdr.items() if rate == 0.05] == [0, 10, 30]

    triangle = LinearCyclical(start_value=0.01, end_value=0.1, cycle_size=60)
    assert column(rows["clr"], "lr") == triangle.values(range(len(rows["clr"]))).tolist()

    rate, momentum = column(rows["lr_and_momentum"], "lr"), column(rows["lr_and_momentum"], "momentum")
    assert [(m - 0.95) / -0.1 for m in momentum] == pytest.approx([(r - 0.01) / 0.09 for r in rate])
    assert (min(momentum), max(momentum)) == (0.85, 0.95)

    base, fc = column(rows["two_groups"], "lr_base"), column(rows["two_groups"], "lr_fc")
    assert (base[0], fc[0]) == (1e-4, 1e-2)
    assert base[15] == base[0]
    assert max(base) < min(fc)


def test_the_experiments_on_where_values_go(tmp_path):
    names = ["adamw_betas", "backbone", "layerwise", "ema"]
    rows = experiments(tmp_path, names, accuracy=0.9)

    rate, beta = column(rows["adamw_betas"], "lr"), column(rows["adamw_betas"], "beta")
    assert [(b - 0.95) / -0.1 for b in beta] == pytest.approx([(r - 5e-4) / 4.5e-3 for r in rate])
    assert (min(beta), max(beta)) == (0.85, 0.95)

    backbone, head = column(rows["backbone"], "backbone"), column(rows["backbone"], "head")
    assert (backbone[0], head[0], backbone[-1], head[-1]) == (1e-4, 4e-3, 2e-3, 1e-4)

    groups = [name for name in rows["layerwise"][0] if name.startswith("lr (")]
    assert groups == [f"lr (backbone.{i})" for i in range(23)] + ["lr (head)"]
    scale = CosineAnnealing(start_value=1, end_value=0.01, cycle_size=100, cycle_mult=2)
    for i, name in enumerate(groups):
        initial = 5e-3 * 0.75 ** (23 - i)
        assert column(rows["layerwise"], name) == pytest.approx([initial * scale(k) for k in range(300)], rel=1e-12)

    decay = CosineAnnealing(start_value=0.5, end_value=0.02, cycle_size=180)
    assert column(rows["ema"], "ema") == decay.values(range(180)).tolist()


PRESETS = [path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")]


def composed(*overrides):
    with initialize_config_module("cosched.train_conf", version_base="1.3"):
        return compose("config", ["trainer.progress_bar=false", *overrides])


def test_there_is_a_preset_for_what_papers_propose():
    cyclical = ["clr_exp_range", "clr_triangular", "clr_triangular2", "cosine_hold", "sgdr", "step"]
    phases = ["linear_decay", "noam", "one_cycle", "one_cycle_momentum", "polynomial", "warmup_cosine", "wsd"]
    assert sorted(PRESETS) == sorted(cyclical + phases)


@pytest.mark.parametrize("event", ["ITERATION_STARTED", "EPOCH_STARTED"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_in_any_run(tmp_path, preset, event):
    epochs = 6
    accuracy = train(
        composed(f"scheduler={preset}", f"trainer.max_epochs={epochs}", f"scheduler.event={event}"), tmp_path
    )
    assert accuracy > 0.85
    name = "momentum" if "momentum" in preset else "lr"
    values = column(history(tmp_path), name)
    assert len(values) == 15 * epochs
    assert len(set(values)) > 1


def test_a_phase_is_overridden_deleted_and_added(tmp_path):
    add = ["+cosched/phase@scheduler.phases.tail=constant", "scheduler.phases.tail.value=0.003"]
    change = [
        "scheduler.phases.decay.end_value=1e-4",
        "scheduler.phases.decay.duration=20%",
        "~scheduler.phases.warmup",
    ]
    train(composed("scheduler=wsd", "trainer.max_epochs=4", *change, *add), tmp_path)
    stable, decay = [0.1] * 45, LinearCyclical(start_value=0.1, end_value=1e-4, cycle_size=12, monotonic=True)
    expected = [*stable, *decay.values(range(12)), *[0.003] * 3]
    assert column(history(tmp_path), "lr") == pytest.approx(expected, rel=1e-12)


def test_the_cool_down_is_a_choice(tmp_path):
    for shape in ("cosine_annealing", "sqrt_annealing", "polynomial_annealing"):
        train(
            composed("scheduler=wsd", "trainer.max_epochs=2", f"cosched/phase@scheduler.phases.decay={shape}"), tmp_path
        )
        rates = column(history(tmp_path), "lr")
        cool = CosineAnnealing if shape[0] == "c" else SqrtAnnealing if shape[0] == "s" else PolynomialAnnealing
        assert rates[23:] == cool(start_value=0.1, end_value=0, cycle_size=7).values(range(7)).tolist()


def test_a_bound_may_be_another_schedules(tmp_path):
    named = ["~scheduler", "+scheduler@scheduler.lr=sgdr", "+scheduler@scheduler.beta=clr_triangular"]
    bounds = ["scheduler.beta.param_name=momentum", "scheduler.beta.start_value=${..lr.start_value}"]
    train(composed("trainer.max_epochs=1", *named, *bounds), tmp_path)
    assert column(history(tmp_path), "beta")[0] == 0.05


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+scheduler.cycle_mlt=2", "scheduler: CosineAnnealingScheduler has no field 'cycle_mlt': did you mean"),
        ("scheduler.cycle_size=1", "scheduler: cycle_size=1 must be a whole number of at least 2"),
        ("scheduler.param_name=Ir", "scheduler: param_name='Ir' names no number to schedule: did you mean 'lr'?"),
        ("scheduler.cycle_mult=0", "scheduler: cycle_mult=0.0 must be above 0 (and below 2**53): 1 keeps the length"),
        ("scheduler.start_value=nan", "scheduler: start_value=nan is not finite: give a finite number"),
        ("scheduler=linear_cyclical", "scheduler: Missing mandatory value: start_value"),
        ("optimizer._target_=torch.load", "optimizer: _target_=torch.load would call torch.load"),
        ("+param_groups.base.lr=0.1", "param_groups=['base'] leaves out fc.weight, fc.bias: add their submodule"),
    ],
)
def test_a_mistake_stops_the_run_before_it_begins(tmp_path, override, message):
    config = composed(*QUICK, override)
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "messages"),
    [
        (
            "scheduler.cycle_mlt=2",
            ["Key 'cycle_mlt' not in", "scheduler.cycle_mlt is no field of a scheduler: did you"],
        ),
        (
            "scheduler.cycle_size=abc",
            ["scheduler: cycle_size='abc' is no duration: an integer counts events; units are '10ep' (epochs),"],
        ),
        ("scheduler.event=ITERATION", ["scheduler.event", "'ITERATION', expected one of [ITERATION_STARTED, EPOCH_"]),
        ("scheduler.cycle_size=1ep scheduler.event=EPOCH_STARTED", ["lr: cycle_size='1ep' is 1 epochs where epoch_"]),
        ("scheduler.end_value=-1", ["lr: lr is -", "it must be finite and at least 0"]),
        ("scheduler.num_cycles=abc", ["scheduler.num_cycles=abc", "'abc' of type 'str' could not be converted to Int"]),
        (
            "scheduler=wsd scheduler.phases.decay.end_valu=1",
            [
                "full_key: scheduler.phases.decay.end_valu",
                "scheduler.phases.decay.end_valu is no field of a scheduler: did",
            ],
        ),
        ("scheduler=wsd +scheduler.phases.x.value=1", ["scheduler: phases.x={'value': 1} is no schedule: give it the"]),
        ("scheduler.cycle_size=1", ["scheduler: cycle_size=1 must be a whole number of at least 2"]),
    ],
)
def test_a_mistake_is_told_without_a_traceback(tmp_path, override, messages):
    run = Run(JOB, *override.split(), cwd=tmp_path)
    assert run.status == 1
    assert all(message in run.err for message in messages)
    assert "Traceback" not in run.err
    assert run.err.count(messages[-1]) == 1


def test_it_works_as_a_module_from_an_installed_wheel(tmp_path, installed):
    Run(installed, "-m", "cosched.train", *QUICK, "optimizer._target_=torch.optim.RMSprop", cwd=tmp_path).check()
    assert len(list(tmp_path.glob("outputs/*/*/metrics.json"))) == 1
    no_schedule = ["~scheduler", "hydra.run.dir=constant"]
    Run(installed.parent / "cosched-train", *QUICK, *no_schedule, cwd=tmp_path).check()
    assert list(history(tmp_path / "constant")[0]) == ["iteration", "epoch", "train_loss"]
