"""Lightning's trainer turns the clock: values at each update, resumed runs, refusals, logs."""

import copy
import math
import warnings
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torch.optim import lr_scheduler

import cosched
from cosched import ConfigError, ScheduleCallback, TorchScheduler

pytestmark = [
    pytest.mark.loops,
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),  # on tiny data
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),  # torch of Lightning
]

FIELDS = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 10}
COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", **FIELDS}
SEVERAL = """
lr:
  _target_: cosched.PhasesScheduler
  param_name: lr
  phases:
    warmup: {_target_: cosched.Phase, shape: polynomial_annealing, start_value: 0, end_value: 0.1, duration: 1ep}
    decay: {_target_: cosched.Phase, shape: cosine_annealing, start_value: 0.1, end_value: 0, cycle_size: 50%}
momentum: {_target_: cosched.LinearCyclicalScheduler, param_name: momentum, start_value: 0.9, end_value: 0.8,
           cycle_size: 2, event: EPOCH_STARTED}
decay: {_target_: cosched.ConstantScheduler, param_name: weight_decay, value: 0.5, param_group: "back*"}
"""
BATCHES = 5


def sgd(layer, **options):
    named = [{"params": [one], "name": name} for one, name in zip(layer.parameters(), ("back", "head"), strict=True)]
    return torch.optim.SGD(named, **{"lr": 0.1, "momentum": 0.9, **options})


@cache
def lightning():
    """Lightning, which is not there where these tests are only collected, and a module made with it."""
    import lightning.pytorch as L

    class Module(L.LightningModule):
        """Notes what its optimizers hold before each of their updates, and the epoch."""

        def __init__(self, configure=sgd, steps=None):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)
            self.configure, self.steps = configure, steps
            self.automatic_optimization = steps is None
            self.seen, self.validated = {}, 0

        def configure_optimizers(self):
            made = self.configure(self.layer)
            optimizers = made if isinstance(made, list) else [made["optimizer"] if isinstance(made, dict) else made]
            for i, optimizer in enumerate(optimizers):
                optimizer.register_step_pre_hook(lambda one, *_, i=i: self.note(i, one))
            return made

        def note(self, i, optimizer):
            groups = [
                {key: copy.copy(one) for key, one in g.items() if key != "params"} for g in optimizer.param_groups
            ]
            self.seen.setdefault(i, []).append((self.current_epoch, groups))

        def training_step(self, batch, batch_idx):
            loss = self.layer(batch).sum()
            if self.automatic_optimization:
                return loss
            self.manual_backward(loss)
            for i in self.steps(batch_idx):
                self.optimizers(use_pl_optimizer=True)[i].step()
            return None

        def validation_step(self, batch, batch_idx):
            self.validated += 1
            self.log("score", self.layer(batch).sum())

        test_step = predict_step = validation_step

        def held(self, name, i=0, group=0):
            return [groups[group][name] for _, groups in self.seen.get(i, ())]

        def epochs(self):
            return [epoch for epoch, _ in self.seen[0]]

    return SimpleNamespace(L=L, Module=Module, callbacks=L.callbacks)


def loader(batches=BATCHES):
    return torch.utils.data.DataLoader(torch.randn(batches, 2), batch_size=1)


def trainer(folder, *callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    given = {
        "enable_checkpointing": False,
        "default_root_dir": folder,
        "callbacks": list(callbacks),
        **quiet,
        **options,
    }
    return lightning().L.Trainer(**given)


def fit(folder, scheduler, module=None, ckpt_path=None, callbacks=(), **options):
    """The module after a fit."""
    module = module or lightning().Module()
    trainer(folder, ScheduleCallback(scheduler), *callbacks, **options).fit(module, loader(), ckpt_path=ckpt_path)
    return module


# Values


@pytest.mark.parametrize("accumulated", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [{"max_epochs": 4}, {"max_steps": 7}, {"max_epochs": 9, "max_steps": 8}])
def test_the_optimizer_holds_the_schedules_values_at_every_update(tmp_path, accumulated, length):
    module = fit(tmp_path, OmegaConf.create(SEVERAL), accumulate_grad_batches=accumulated, **length)
    epoch_length = math.ceil(BATCHES / accumulated)  # the last batches of an epoch make an update, however few they are
    updates = min(length.get("max_steps", 99), epoch_length * length.get("max_epochs", 99))
    warmup = cosched.PolynomialAnnealing(start_value=0, end_value=0.1, cycle_size=max(epoch_length, 2))
    decay = cosched.CosineAnnealing(start_value=0.1, end_value=0, cycle_size=updates // 2, num_cycles=1)
    lr = [warmup(i) if i < epoch_length else decay(i - epoch_length) for i in range(updates)]
    momentum = cosched.LinearCyclical(start_value=0.9, end_value=0.8, cycle_size=2)
    assert module.held("lr") == module.held("lr", group=1) == lr
    assert module.held("momentum") == [momentum(i // epoch_length) for i in range(updates)]
    assert module.epochs() == [i // epoch_length for i in range(updates)]
    assert (module.held("weight_decay"), module.held("weight_decay", group=1)) == ([0.5] * updates, [0] * updates)
