"""Projects that build schedulers by ``_partial_: true`` and give them their optimizer later."""

import pickle

import pytest
import torch
from helpers import SEVERAL, several
from hydra import compose, initialize
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

import cosched
from cosched import ConfigError, TorchScheduler

MODEL = """
trainer: {max_epochs: 6, limit_train_batches: 4}
model:
  _target_: types.SimpleNamespace
  optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 0.3, weight_decay: 0.1}
  scheduler:
    _target_: cosched.TorchScheduler
    _partial_: true
    _recursive_: false
    scheduler: ${scheduler}
    epoch_length: ${trainer.limit_train_batches}
    max_epochs: ${trainer.max_epochs}
"""
COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", "start_value": 0.1, "end_value": 0}
COSINE |= {"cycle_size": 3}


def config(scheduler=None, *overrides):
    """A model's config and a scheduler's beside it, given or composed."""
    if scheduler is not None:
        return OmegaConf.merge(OmegaConf.create(MODEL), {"scheduler": scheduler})
    with initialize(version_base=None, config_path=None):
        composed = compose(overrides=list(overrides))
    with open_dict(composed):
        composed.merge_with(OmegaConf.create(MODEL))
    return composed


def configure_optimizers(cfg):
    """What the template's module does, and has no other line about schedulers."""
    model = instantiate(cfg.model)
    optimizer = model.optimizer(params=[{"params": [torch.nn.Parameter(torch.zeros(1))], "name": "back"}])
    return model.scheduler(optimizer=optimizer)


def walk(scheduler, steps):
    """What the optimizer holds before each step."""
    seen = []
    group = scheduler.optimizer.param_groups[0]
    for _ in range(steps):
        seen.append([group["lr"], group["betas"][0], group["weight_decay"]])
        scheduler.optimizer.step()
        scheduler.step()
    return seen


def test_several_schedulers_are_built_when_the_optimizer_is_known():
    scheduler = configure_optimizers(config(OmegaConf.create(SEVERAL)))
    assert isinstance(scheduler, TorchScheduler)
    assert walk(scheduler, 24) == several(range(24), 4, 6)


def test_options_of_the_group_and_overrides_work():
    fields = "+scheduler=cosine_annealing scheduler.start_value=0.2 scheduler.end_value=0.1 scheduler.cycle_size=25%"
    scheduler = configure_optimizers(config(None, *fields.split()))
    curve = cosched.CosineAnnealing(start_value=0.2, end_value=0.1, cycle_size=6)
    assert [lr for lr, *_ in walk(scheduler, 24)] == curve.values(range(24)).tolist()


def test_a_step_may_be_an_epoch_as_where_a_module_says_so():
    cfg = config({**COSINE, "event": "EPOCH_STARTED"})
    cfg.model.scheduler.event, cfg.model.scheduler.epoch_length = "epoch_started", 1  # an update of all data is one
    curve = cosched.CosineAnnealing(start_value=0.1, end_value=0, cycle_size=3)
    assert [lr for lr, *_ in walk(configure_optimizers(cfg), 6)] == curve.values(range(6)).tolist()


def test_what_is_built_in_part_can_be_pickled_as_a_hyper_parameter():
    model = instantiate(config(COSINE).model)
    again = pickle.loads(pickle.dumps(model.scheduler))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    assert again(optimizer=optimizer).get_last_lr() == [0.1]


def test_mistakes_are_told_when_the_optimizer_is_known():
    with pytest.raises(ConfigError, match="has no field 'cycle_mlt': did you mean 'cycle_mult'"):
        configure_optimizers(config({**COSINE, "cycle_mlt": 2}))


def test_without_recursive_hydra_builds_the_schedule_too_early():
    cfg = config(COSINE)
    del cfg.model.scheduler["_recursive_"]
    with pytest.raises(InstantiationException, match=r"missing a required argument: 'optimizer'"):
        configure_optimizers(cfg)
