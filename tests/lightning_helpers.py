"""A tiny module that Lightning trains, and trainers; Lightning is imported when a test asks for it."""

import copy
from functools import cache
from types import SimpleNamespace

import pytest
import torch

from cosched import ScheduleCallback

MARKS = [
    pytest.mark.loops,
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),  # on tiny data
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),  # torch of Lightning
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be provided"),
]

FIELDS = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 10}
COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", **FIELDS}
BATCHES = 5


def sgd(layer, **options):
    named = [{"params": [one], "name": name} for one, name in zip(layer.parameters(), ("back", "head"), strict=True)]
    return torch.optim.SGD(named, **{"lr": 0.1, "momentum": 0.9, **options})


@cache
def lightning():
    """Lightning, which is not there where these tests are only collected, and a module made with it."""
    import lightning.pytorch

    class Module(lightning.pytorch.LightningModule):
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
                {key: copy.deepcopy(one) for key, one in g.items() if key != "params"} for g in optimizer.param_groups
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

        test_step = validation_step

        def predict_step(self, batch, batch_idx):
            self.validated += 1
            return self.layer(batch)

        def held(self, name, i=0, group=0):
            return [groups[group][name] for _, groups in self.seen.get(i, ())]

        def epochs(self):
            return [epoch for epoch, _ in self.seen[0]]

    return SimpleNamespace(Module=Module, **vars(lightning.pytorch))


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
    return lightning().Trainer(**given)


def fit(folder, scheduler, module=None, ckpt_path=None, callbacks=(), **options):
    """The module after a fit."""
    module = module or lightning().Module()
    trainer(folder, ScheduleCallback(scheduler), *callbacks, **options).fit(module, loader(), ckpt_path=ckpt_path)
    return module
