"""docs/migration.md, each pair of it: the other library's values and those of our YAML, for random arguments."""

import ast
import importlib
import os
import re
import warnings

import numpy as np
import pytest
import torch
import yaml
from helpers import ROOT, timm_schedulers

from cosched import TorchScheduler

TEXT = (ROOT / "docs/migration.md").read_text()
SECTIONS = dict(section.split("\n", 1) for section in TEXT.split("\n## ")[1:])
PAIR = re.compile(r"```python\n(.*?)\n```\n\n```yaml\n(.*?)\n```", re.DOTALL)
OTHERS = [pytest.param(library, marks=pytest.mark.loops) for library in ("timm", "transformers", "keras")]
PAIRS = [
    pytest.param(library, *pair, id=f"{library} {i}", marks=[] if library in ("torch", "ignite") else pytest.mark.loops)
    for library, section in SECTIONS.items()
    for i, pair in enumerate(PAIR.findall(section), start=1)
]
EVENTS = 200


def arguments(rng):
    """A value for each name that the document uses."""
    names = {}
    for name in "rate", "base_lr", "start_value", "end_value":
        names[name] = rng.uniform(0.1, 1)
    for name in "eta_min", "lr_min", "min_lr", "lr_end", "end_learning_rate", "warmup_lr_init":
        names[name] = names["rate"] * rng.uniform(0, 0.9)
    names["max_lr"] = names["base_lr"] * rng.uniform(1.5, 9)
    for name in "gamma", "decay_rate", "cycle_decay", "m_mul", "start_value_mult", "end_value_mult":
        names[name] = rng.uniform(0.8, 1)
    for name in "start_factor", "end_factor", "factor", "alpha", "min_lr_ratio":
        names[name] = rng.uniform(0.1, 1)
    names["power"] = rng.uniform(0.5, 3)
    names["ratio"] = rng.uniform(0.01, 0.5)
    names["k_decay"] = rng.uniform(0.5, 2)
    names["lb"], names["ub"] = rng.uniform(-8, -4), rng.uniform(2, 4)
    names["div_factor"], names["final_div_factor"] = rng.uniform(2, 30, size=2)
    lengths = "T_max T_0 step_size step_size_up step_size_down cycle_size warmup_duration total_iters t_initial"
    lengths += " warmup_t first num_warmup_steps num_stable_steps num_decay_steps decay_steps warmup_steps"
    for name in [*lengths.split(), "first_decay_steps"]:
        names[name] = int(rng.integers(2, 60))
    names["decay_t"] = int(rng.integers(2, names["t_initial"] + 1))
    names["second"] = names["first"] + int(rng.integers(1, 60))
    for name in "T_mult", "cycle_mul", "t_mul", "cycle_mult":
        names[name] = int(rng.integers(1, 3))
    names["cycle_limit"] = int(rng.integers(1, 4))
    names["num_cycles"] = int(2 ** rng.integers(0, 3))
    names["num_training_steps"] = names["num_warmup_steps"] + names["num_cycles"] * int(rng.integers(2, 40))
    names["total_steps"] = 20 * int(rng.integers(1, 10))
    names["pct_start"] = float(rng.integers(3, 9)) / 20  # three phases have time, and their lengths are whole
    return names


def written(value, names):
    """The YAML with each formula in it computed; durations that are whole become integers."""
    if isinstance(value, dict):
        return {key: written(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [written(one, names) for one in value]
    if not isinstance(value, str) or value.startswith("cosched."):
        return value
    try:
        formula = ast.parse(value, mode="eval")
    except SyntaxError:
        return value
    if any(isinstance(node, ast.Name) and node.id not in names for node in ast.walk(formula)):
        return value
    found = eval(value, names.copy())
    whole = round(found)
    return whole if isinstance(found, float) and whole > 1 and abs(found - whole) < 1e-9 else found


def optimizer(rate):
    """What is to be driven."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def namespace(library):
    """What the left sides of a section call."""
    if library == "timm":
        return vars(timm_schedulers())
    if library == "keras":
        os.environ["KERAS_BACKEND"] = "torch"
        keras = importlib.import_module("keras")
        keras.config.set_floatx("float64")
        return vars(keras.optimizers.schedules)
    modules = {"torch": "torch.optim.lr_scheduler", "ignite": "ignite.handlers", "transformers": "transformers"}
    module = importlib.import_module(modules[library])
    return {"get_scheduler": module.get_scheduler} if library == "transformers" else vars(module)


def theirs(library, code, names, key, count):
    """The values of the other library."""
    driven = optimizer(names["rate"])
    scheduler = eval(code, dict(namespace(library)) | names | {"optimizer": driven})
    if library == "keras":
        return [float(scheduler(step)) for step in range(count)]
    held = []
    for step in range(count):
        if library == "ignite":
            scheduler(None)
        elif library == "timm":
            scheduler.step(step)
        elif step:
            driven.step()
            scheduler.step()
        held.append(float(driven.param_groups[0][key]))
    return held


def ours(node, rate, count):
    """The values that the YAML gives an optimizer."""
    driven = optimizer(rate)
    scheduler = TorchScheduler(driven, node)
    held = []
    for _ in range(count):
        held.append(driven.param_groups[0][node["param_name"]])
        driven.step()
        scheduler.step()
    return held


@pytest.mark.parametrize(("library", "code", "text"), PAIRS)
def test_both_sides_give_the_same_values(library, code, text):
    limit = re.search(r"# the first (.*) values", code)
    code = re.sub(r"  # .*", "", code)
    for seed in range(10):
        names = arguments(np.random.default_rng(seed))
        node = written(yaml.safe_load(text), names)
        count = eval(limit[1], names.copy()) if limit else EVENTS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs tell of old ways of their own
            expected = theirs(library, code, names, node["param_name"], count)
            found = ours(node, names["rate"], count)  # and ours of one cycle whose multipliers have no effect
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def told(library):
    """The document's words about a library, or about what has no YAML."""
    return SECTIONS[library] + SECTIONS["What cannot be expressed"]


@pytest.mark.parametrize("library", ["torch", "ignite", *OTHERS])
def test_every_scheduler_of_a_library_is_told_of(library):
    if library == "transformers":
        names = {one.value for one in importlib.import_module("transformers").SchedulerType}
    else:
        bases = {"BaseParamScheduler", "CyclicalScheduler", "LRScheduler", "ParamScheduler", "StateParamScheduler"}
        kinds = re.compile("[a-z].*(LR|Scheduler|Restarts|Decay|Plateau|Linear)$")
        names = {
            name for name, one in namespace(library).items() if isinstance(one, type) and kinds.search(name)
        } - bases
    assert len(names) >= 6
    assert [name for name in sorted(names) if name not in told(library)] == []
