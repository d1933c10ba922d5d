"""hydra-zen reads signatures: what it builds of ours has every field, typed, and attaches."""

import inspect
from dataclasses import fields

import pytest
import torch
from hydra_zen import builds
from ignite.engine import Engine
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

import cosched

CLASSES = [
    name
    for name in cosched.__all__
    if inspect.isclass(getattr(cosched, name))
    and issubclass(getattr(cosched, name), (cosched.BoundScheduler, cosched.Schedule))
]


@pytest.mark.parametrize("name", CLASSES)
def test_hydra_zen_sees_every_field(name):
    config = builds(getattr(cosched, name), populate_full_signature=True)
    parameters = inspect.signature(getattr(cosched, name)).parameters.values()
    names = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    assert {f.name for f in fields(config)} == names | {"_target_"}


def test_what_hydra_zen_builds_is_typed_and_attaches():
    config = builds(cosched.CosineAnnealingScheduler, populate_full_signature=True, zen_exclude=["optimizer"])
    node = OmegaConf.structured(config(param_name="lr", start_value=1.0, end_value=0.0, cycle_size="1ep"))
    node.num_cycles = 2
    with pytest.raises(ValidationError):
        node.endpoint = "junk"
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    seen = []
    engine = Engine(lambda *_: seen.append(optimizer.param_groups[0]["lr"]))
    cosched.attach(engine, node, optimizer)
    engine.run(range(4), max_epochs=3)
    once = [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]
    assert seen == pytest.approx([*once, *once, 0, 0, 0, 0], abs=1e-15)
