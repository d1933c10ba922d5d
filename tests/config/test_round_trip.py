"""Every packaged option, composed, saved in every way that users save configs, read back, bound: always one curve."""

import json
import pickle
from functools import cache

import pytest
from helpers import options
from hydra import compose, initialize, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from ignite.engine import Engine
from omegaconf import OmegaConf

import cosched
from cosched.schedules.registry import registered

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult", "ignore:.*cycles shrink")

OPTIONS = options()
RUN = {"epoch_length": 10, "max_epochs": 8}


def plain(node):
    return OmegaConf.to_container(node, resolve=True, enum_to_str=True)


def attached(node, optimizer):
    return cosched.attach(Engine(lambda *_: None), node, optimizer).schedule


WAYS = {
    "as composed": attached,
    "from the file that Hydra wrote": lambda node, o: attached(OmegaConf.create(OmegaConf.to_yaml(node)), o),
    "from JSON": lambda node, o: attached(json.loads(json.dumps(plain(node))), o),
    "from a pickle": lambda node, o: attached(pickle.loads(pickle.dumps(node)), o),
    "as an object": lambda node, o: attached(OmegaConf.to_object(node), o),
    "by instantiate": lambda node, o: instantiate(node, optimizer=o).schedule,
    "by instantiate, from a file": lambda node, o: (
        instantiate(OmegaConf.create(OmegaConf.to_yaml(node)), optimizer=o).schedule
    ),
    "by a partial": lambda node, o: instantiate(node, _partial_=True)(optimizer=o).schedule,
    "by a partial that the config asks for": lambda node, o: attached(plain(node) | {"_partial_": True}, o),
}


@cache
def composed(option):
    with initialize(version_base=None, config_path=None):
        return compose(overrides=[f"+scheduler={option}", *OPTIONS[option]]).scheduler


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "option", [pytest.param(name, marks=() if name in registered() else pytest.mark.slow) for name in OPTIONS]
)
def test_it_is_the_same_curve(option, way, sgd):
    node = composed(option)
    pure = OmegaConf.to_object(node).resolve(**RUN)
    events = range(RUN["epoch_length"] * RUN["max_epochs"])
    assert way(node, sgd).resolve(**RUN).values(events).tolist() == pure.values(events).tolist()


@pytest.fixture
def crowded(tmp_path):
    """The config folder of an app that has an option of its own by each of our names."""
    (tmp_path / "scheduler").mkdir()
    for name in OPTIONS:
        (tmp_path / f"scheduler/{name}.yaml").write_text("eta: 0.5\n")
    (tmp_path / "config.yaml").write_text("defaults: [scheduler: sgdr]\n")
    return tmp_path


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.slow
def test_an_apps_own_options_of_our_names_are_its_own_and_ours_are_at_hand(crowded, option):
    ours = composed(option)
    with initialize_config_dir(str(crowded), version_base=None):
        assert compose("config", [f"scheduler={option}"]).scheduler == {"eta": 0.5}
        absolute = ["~scheduler", f"+cosched/scheduler@scheduler={option}", *OPTIONS[option]]
        assert compose("config", absolute).scheduler == ours
        (crowded / f"scheduler/{option}.yaml").unlink()
        assert compose("config", [f"scheduler={option}", *OPTIONS[option]]).scheduler == ours


def test_a_glob_over_an_apps_own_group_is_what_it_was_before_we_came(crowded):
    (crowded / "scheduler/wsd.yaml").unlink()
    with initialize_config_dir(str(crowded), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        assert loader.get_group_options("cosched/scheduler") == sorted(OPTIONS)
        assert loader.get_group_options("scheduler") == sorted(OPTIONS.keys() - {"wsd"})
        (crowded / "scheduler").rename(crowded / "sched")
        assert loader.get_group_options("scheduler") == sorted(OPTIONS)


def test_a_preset_has_a_phase_less_and_one_more_by_overrides():
    tail = "+cosched/phase@scheduler.phases.tail=constant"
    values = ["scheduler.phases.tail.value=0.01", "scheduler.phases.decay.duration=15%"]
    with initialize(version_base=None, config_path=None):
        node = compose(overrides=["+scheduler=wsd", tail, *values, "~scheduler.phases.warmup"]).scheduler
    assert list(node.phases) == ["stable", "decay", "tail"]
    schedule = OmegaConf.to_object(node).resolve(epoch_length=10, max_epochs=10)
    peak = node.phases.stable.value
    assert schedule.values([0, 74, 75, 90, 99]).tolist() == [peak, peak, peak, 0.01, 0.01]
