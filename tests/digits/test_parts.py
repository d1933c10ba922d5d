"""Parameter groups and names for the schedulers, from the config."""

import re

import pytest
import torch
from helpers import composed

from cosched import ConfigError, ConstantScheduler
from cosched.digits.parts import built, by_name, param_groups


@pytest.fixture(scope="module")
def model():
    return built(composed("model.channels=1"), "model")


def test_every_parameter_is_in_one_group_unless_groups_are_declared(model):
    assert list(param_groups(model, composed())) == list(model.parameters())


def test_a_group_per_declared_submodule_with_its_options(model):
    base, fc = param_groups(model, composed("+param_groups.base.lr=0.1", "+param_groups.fc.lr=0.2"))
    assert (base["name"], base["lr"], base["params"]) == ("base", 0.1, list(model.base.parameters()))
    assert (fc["name"], fc["lr"], fc["params"]) == ("fc", 0.2, list(model.fc.parameters()))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+param_groups.base.lr=0.1", "param_groups=['base'] leaves out fc.weight, fc.bias: add their submodule"),
        ("+param_groups.bsae.lr=0.1", "param_groups: ConvNet has no attribute `bsae`: give it as {submodule: "),
        ("+param_groups.base=0.1", "param_groups: "),
        ("+param_groups._target_=cosched.digits.layerwise", "param_groups: "),
    ],
)
def test_groups_that_cannot_be_made(model, override, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        param_groups(model, composed(override))


def test_schedulers_are_named_by_their_keys_or_their_parameters(sgd):
    first, second = (ConstantScheduler(sgd, "lr", 0.1, param_group_index=i) for i in range(2))
    assert by_name(first) == {"lr": first}
    assert by_name({"a": first, "b": second}) == {"a": first, "b": second}
    with pytest.raises(ConfigError, match="scheduler: lr, lr would share a column"):
        by_name([first, second])


def test_a_config_makes_torchs_modules_and_optimizers(model):
    inner = "+model._args_=[{_target_: torch.nn.Flatten}]"
    config = composed("model._target_=torch.nn.Sequential", "~model.channels", inner)
    assert [type(one) for one in built(config, "model")] == [torch.nn.Flatten]
    assert type(built(config, "optimizer", model.parameters())) is torch.optim.SGD
