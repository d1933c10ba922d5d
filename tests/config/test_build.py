"""What a config may call: classes of schedulers and schedules, and nothing that imports, executes or writes."""

import importlib
import pkgutil
import types
from collections.abc import Sequence

import pytest
import torch
from ignite.engine import Engine
from omegaconf import OmegaConf

import cosched
from cosched.config.build import Allowed, build
from cosched.config.schemas import scheduler as config_of
from cosched.digits.parts import ALLOWED
from cosched.loops.ignite.attaching import KINDS, WARMUP

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4}
COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", **FIELDS}
MADE = "${oc.create:{_target_: ignite.handlers.DiskSaver, dirname: made}}"


def attach(config, sgd, **arguments):
    return cosched.attach(Engine(lambda *_: None), config, sgd, **arguments)


def typed(**changes):
    return OmegaConf.merge(OmegaConf.structured(config_of.cosine_annealing), FIELDS, changes)


@pytest.mark.parametrize("escapes", ["", "\\", "\\\\\\"])
@pytest.mark.parametrize("make", [lambda **changes: {**COSINE, **changes}, typed])
def test_what_a_value_resolves_to_is_never_resolved_or_called(sgd, make, escapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cosched.ConfigError, match=r"^scheduler.*param_group"):
        attach(make(param_group=escapes + MADE), sgd)
    assert not list(tmp_path.iterdir())


def test_a_plain_dict_is_resolved_once(sgd):
    assert attach({**COSINE, "end_value": "${.start_value}"}, sgd).schedule.end_value == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"_target_": "torch.load"},
        {"_target_": "os.system"},
        {"_target_": "cosched.digits.ranks.torch.load"},
        {"_target_": "ignite.handlers.checkpoint.torch.save"},
        {"_target_": "cosched.attach", "allow": ["os."], "scheduler": {"_target_": "os.system", "command": "true"}},
        {"_target_": "cosched.build", "node": {"_target_": "os.system"}},
        {"_target_": "cosched.Allowed"},
        {"_target_": "cosched.digits.command.cli"},
        {"_target_": "cosched.digits.training.train"},
        {"_target_": "cosched.sweeps.report.ScheduleReport"},
        {"_target_": "cosched.CosineAnnealingScheduler.plot_values"},
        {"_target_": "ignite.handlers.DiskSaver", "dirname": "made"},
        {"_target_": "ignite.handlers.ModelCheckpoint", "dirname": "made"},
        {"param_group": {"_target_": "os.system", "command": "true"}},
        {"param_name": [{"_target_": "builtins.print"}]},
    ],
    ids=str,
)
def test_a_config_may_not_call_anything_else(sgd, changes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cosched.ConfigError, match=r"would call .* but a config may only make"):
        attach({**COSINE, **changes}, sgd)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["torch.nn.attention._fa4._fa4_import_module", "torch.nn.init.xavier_uniform_"])
def test_the_main_job_makes_modules_and_optimizers_only(target):
    with pytest.raises(ValueError, match=r"but a config may only make objects of Module, Optimizer from"):
        ALLOWED.find(target)
    assert ALLOWED.find("torch.nn.Linear") is torch.nn.Linear


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (tuple[int, float], [1, 2.0], (1, 2.0)),
        (list[tuple[int, float]], [[0, 1.0], [2, 3.0]], [(0, 1.0), (2, 3.0)]),
        (Sequence[tuple[int, ...]], [[0], []], [(0,), ()]),
        (list[list[int]], [[0], [1]], [[0], [1]]),
        (list[tuple[int, float]], "ab", "ab"),
        (list, [[0]], [[0]]),
        ("list[tuple[int, float]]", [[0]], [[0]]),
        (int | tuple[int, int], [3, 3], [3, 3]),
    ],
)
def test_a_list_is_a_tuple_where_a_parameter_asks_for_that_alone(kind, value, expected):
    class Made(torch.nn.Module):
        def __init__(self, pairs):
            super().__init__()
            self.pairs = pairs

    Made.__init__.__annotations__["pairs"] = kind
    allowed = Allowed(kinds=(torch.nn.Module,), packages=(), names=(f"{__name__}.Made",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "Made", Made)
        assert build({"_target_": f"{__name__}.Made", "pairs": value}, allowed, "it").pairs == expected


class MyScheduler(cosched.CosineAnnealingScheduler):
    pass


@pytest.mark.parametrize("allow", [(f"{__name__}.",), (f"{__name__}.MyScheduler",), f"{__name__}.MyScheduler"])
def test_the_caller_may_allow_more(sgd, allow):
    config = {**COSINE, "_target_": f"{__name__}.MyScheduler"}
    for others in ((), (f"{__name__}.My", __name__)):
        with pytest.raises(cosched.ConfigError, match=f"would call {__name__}.MyScheduler"):
            attach(config, sgd, allow=others)
    assert isinstance(attach(config, sgd, allow=allow), MyScheduler)


def reachable(package):
    """The dotted names of all that stands in the modules of a package, and once in what they import and define."""
    modules = [importlib.import_module(package)]
    for one in pkgutil.walk_packages(getattr(modules[0], "__path__", []), f"{package}."):
        try:
            modules.append(importlib.import_module(one.name))
        except ImportError:  # it needs what is not installed
            continue
    looked_into = set()
    for module in modules:
        for name in dir(module):
            path, value = f"{module.__name__}.{name}", getattr(module, name, None)
            yield path
            if isinstance(value, (type, types.ModuleType)) and value not in looked_into:
                looked_into.add(value)
                yield from (f"{path}.{inner}" for inner in dir(value))


def found(allowed, package):
    """What a config may call in a package, once each, and how many names were tried."""
    names = set(reachable(package))
    callables = set()
    for name in names:
        try:
            callables.add(allowed.find(name))
        except (ImportError, ValueError):
            continue
    return callables, len(names)


ATTACH = Allowed(kinds=KINDS, packages=("cosched.", "ignite.handlers."), names=(WARMUP,))


@pytest.mark.filterwarnings("ignore")  # of what torch has deprecated
@pytest.mark.parametrize(
    ("allowed", "package", "functions"),
    [
        (ATTACH, "cosched", set()),
        (ATTACH, "ignite.handlers", {"create_lr_scheduler_with_warmup"}),
        (ALLOWED, "cosched.digits", {"digits", "layerwise"}),
        (ALLOWED, "torch.optim", set()),
        pytest.param(ALLOWED, "torch.nn", set(), marks=pytest.mark.slow),
    ],
    ids=["attach-cosched", "attach-ignite", "job-digits", "job-optim", "job-nn"],
)
def test_every_callable_that_a_config_can_reach_is_of_a_known_kind(allowed, package, functions):
    callables, tried = found(allowed, package)
    classes = {one for one in callables if isinstance(one, type)}
    assert {one.__name__ for one in callables - classes} == functions
    assert classes
    assert all(issubclass(one, allowed.kinds) for one in classes)
    print(f"{package}: of {tried} names {len(classes)} classes and {len(functions)} functions can be called")
