"""What installing the wheel does to a Hydra app, and what it must not do."""

import sys

import pytest
from helpers import ROOT, Run
from omegaconf import OmegaConf

APP = """
import sys
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    print(OmegaConf.to_yaml(cfg))
    if "start_value" in cfg.scheduler:
        print("first value:", OmegaConf.to_object(cfg.scheduler)(0))
    print("heavy:", sorted({"torch", "ignite", "matplotlib"} & sys.modules.keys()))

main()
"""


@pytest.fixture
def app(tmp_path, installed):
    """An app of someone else's, in the environment where our wheel is installed; call it with overrides."""
    (tmp_path / "conf/scheduler").mkdir(parents=True)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "conf/config.yaml").write_text("defaults: [scheduler: cosine_annealing]\n")
    (tmp_path / "conf/scheduler/cosine_annealing.yaml").write_text("eta: 0.5\nT_max: 10\n")
    return lambda *arguments: Run(installed, "app.py", *arguments, cwd=tmp_path)


@pytest.mark.slow
def test_an_apps_own_file_of_our_name_is_untouched(app):
    assert OmegaConf.create(app("--cfg", "job").check().out) == {"scheduler": {"eta": 0.5, "T_max": 10}}
    assert "heavy: []" in app().check().out


def test_both_plugins_are_there(app):
    plugins = app("--info", "plugins", "hydra/job_logging=colorlog").check().out
    assert plugins.count("CoschedSearchPathPlugin") == 1
    assert "HydraColorlogSearchPathPlugin" in plugins


@pytest.mark.slow
def test_our_options_are_typed(app):
    config = ["scheduler=linear_cyclical", "scheduler.start_value=1", "scheduler.end_value=0", "scheduler.cycle_size=4"]
    shown = app(*config).check().out
    assert "_target_: cosched.LinearCyclicalScheduler" in shown
    assert "first value: 1.0" in shown
    assert "heavy: []" in shown, "looking at a curve needs no torch"
    for override, message in (
        ("scheduler.cycle_mlt=2", "Key 'cycle_mlt' not in 'LinearCyclicalConfig'"),
        ("+scheduler.cycle_mlt=2", "has no field 'cycle_mlt': did you mean 'cycle_mult'"),
        ("scheduler.num_cycles=abc", "Value 'abc' of type 'str' could not be converted to Integer"),
        ("scheduler.event=ITERATION", "expected one of [ITERATION_STARTED, EPOCH_STARTED]"),
    ):
        refused = app(*config, override)
        assert refused.status == 1
        assert message in refused.err


def test_several_schedulers_have_names(app):
    named = ["~scheduler", "+scheduler@scheduler.lr=linear_cyclical", "+scheduler@scheduler.momentum=linear_cyclical"]
    config = OmegaConf.create(app(*named, "scheduler.momentum.param_name=momentum", "--cfg", "job").check().out)
    assert list(config.scheduler) == ["lr", "momentum"]
    assert config.scheduler.momentum.param_name == "momentum"


def test_importing_us_imports_nothing_heavy(tmp_path):
    heavy = "{'torch', 'ignite', 'matplotlib', 'numpy'}"
    code = f"import sys, cosched, cosched.config.schemas; print({heavy} & sys.modules.keys())"
    assert Run(sys.executable, "-c", code, cwd=tmp_path).check().out == "set()\n"


SCANNED = ", ".join(f"hydra_plugins.hydra_cosched.{path.stem}" for path in ROOT.glob("hydra_plugins/*/[!_]*.py"))
STANDARD = (
    "__future__, array, bisect, copy, dataclasses, enum, importlib, inspect, math, numbers, re, threading, typing"
)


@pytest.mark.parametrize(
    ("given", "start", "spared"),
    [
        ("importlib", "import cosched", "cosched.schedules"),
        (STANDARD, "from cosched import CosineAnnealing", "cosched.schedules.shapes"),
        ("hydra._internal.hydra", f"import {SCANNED}", "cosched.schedules"),
    ],
    ids=["an import", "a shape", "Hydra's scan of plugins"],
)
def test_a_start_loads_nothing_but_the_modules_that_it_needs(given, start, spared, tmp_path):
    code = f"import sys, {given}; given = {{*sys.modules}}; {start}; print(*sys.modules.keys() - given)"
    loaded = Run(sys.executable, "-c", code, cwd=tmp_path).check().out.split()
    assert [name for name in loaded if name.split(".")[0] not in ("cosched", "hydra_plugins")] == []
    assert "cosched" in loaded
    assert spared not in loaded
