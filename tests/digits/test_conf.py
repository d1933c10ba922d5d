"""The presets and the experiments: they compose, the preview draws them, and they train."""

import json

import pytest
from helpers import JOB, ROOT, TINY, Start, column, composed, history, train_tiny

from cosched import CosineAnnealing, LinearCyclical
from cosched.digits.training import train
from cosched.sweeps.curves import evaluate

PRESETS = [path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")]
EXPERIMENTS = [path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")]


def previewed(config):
    """The values that the preview shows, by path."""
    curves, errors = evaluate(config, config.trainer.max_epochs, config.trainer.epoch_length)
    assert not errors
    return {one.path: one.schedule.values(range(one.num_events)).tolist() for one in curves}


def test_there_is_a_preset_for_what_papers_propose():
    cyclical = ["clr_exp_range", "clr_triangular", "clr_triangular2", "cosine_hold", "sgdr", "step"]
    phases = ["linear_decay", "noam", "one_cycle", "one_cycle_momentum", "polynomial", "warmup_cosine", "wsd"]
    phases += ["chinchilla", "d2z", "deepseek_multistep", "deepseek_v3", "infinite_cosine", "infinite_rsqrt"]
    phases += ["minicpm_wsd", "muon_momentum", "power", "wsd_s"]
    assert sorted(PRESETS) == sorted(cyclical + phases)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.slow
def test_a_preset_adapts_to_any_run(preset):
    config = composed(f"scheduler={preset}", "trainer.max_epochs=6")
    for event, length in (("ITERATION_STARTED", 90), ("EPOCH_STARTED", 6)):
        config.scheduler.event = event
        [values] = previewed(config).values()
        assert len(values) == length
        assert len(set(values)) > 1


@pytest.mark.parametrize("preset", ["one_cycle_momentum", "warmup_cosine"])
def test_a_run_applies_what_the_preview_shows(tmp_path, preset):
    overrides = [f"scheduler={preset}", "trainer.max_epochs=2"]
    train_tiny(tmp_path, *overrides)
    [values] = previewed(composed(*TINY, *overrides)).values()
    assert column(history(tmp_path), "momentum" if "momentum" in preset else "lr") == values


@pytest.mark.slow
@pytest.mark.parametrize("event", ["ITERATION_STARTED", "EPOCH_STARTED"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_in_any_run(tmp_path, preset, event):
    epochs = 6
    overrides = [f"scheduler={preset}", f"trainer.max_epochs={epochs}", f"scheduler.event={event}"]
    assert train(composed("trainer.progress_bar=false", *overrides), tmp_path) > 0.85
    values = column(history(tmp_path), "momentum" if "momentum" in preset else "lr")
    assert len(values) == 15 * epochs
    assert len(set(values)) > 1


@pytest.mark.parametrize("experiment", [one for one in EXPERIMENTS if one not in ("branches", "rewarm")])
def test_an_experiment_can_be_previewed(experiment):
    assert all(len(set(values)) > 1 for values in previewed(composed(f"+experiment={experiment}")).values())


def test_an_experiment_on_groups_trains(tmp_path):
    config = ["data.val_fraction=0.9", "trainer.batch_size=12", "trainer.progress_bar=false", "model.blocks=2"]
    train(composed("+experiment=layerwise", *config, "trainer.max_epochs=1"), tmp_path)
    groups = [name for name in history(tmp_path)[0] if name.startswith("lr (")]
    assert groups == ["lr (backbone.0)", "lr (backbone.1)", "lr (head)"]
    scale = CosineAnnealing(start_value=1, end_value=0.01, cycle_size=100, cycle_mult=2)
    for i, name in enumerate(groups):
        expected = [5e-3 * 0.75 ** (2 - i) * scale(k) for k in range(15)]
        assert column(history(tmp_path), name) == pytest.approx(expected, rel=1e-12)


def experiments(tmp_path, names, accuracy):
    """The histories of these experiments, run in one sweep and each at least so accurate."""
    sweep = ["-m", "+experiment=" + ",".join(names), "hydra.sweep.dir=out", "hydra.sweep.subdir=${hydra.job.num}"]
    Start(JOB, "-cd", ROOT / "conf", *sweep, "trainer.progress_bar=false", cwd=tmp_path).check()
    folders = [tmp_path / f"out/{i}" for i in range(len(names))]
    for folder in folders:
        assert json.loads((folder / "metrics.json").read_text())["val_accuracy"] >= accuracy
    return dict(zip(names, map(history, folders), strict=True))


@pytest.mark.slow
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


@pytest.mark.slow
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
