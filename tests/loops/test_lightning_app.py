"""An app with lightning-hydra-template's layout takes schedules by a file of YAML, and previews, sweeps and resumes."""

import csv
import math
import re
import sys
from textwrap import dedent

import pytest
from helpers import Run, Start
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import cosched

pytestmark = pytest.mark.loops

# As there, but for random data and what does not matter here. None of it knows cosched.
PROJECT = {
    "configs/train.yaml": """
        # @package _global_
        defaults:
          - _self_
          - data: random
          - model: mnist
          - callbacks: default
          - logger: csv
          - trainer: default
          - paths: default
          - hydra: default
          - experiment: null
        task_name: train
        optimized_metric: val/loss
        train: true
        test: true
        ckpt_path: null
        seed: 1
    """,
    "configs/data/random.yaml": """
        _target_: src.random_datamodule.RandomDataModule
        batches: 6
        batch_size: 2
    """,
    "configs/model/mnist.yaml": """
        _target_: src.mnist_module.MNISTLitModule
        optimizer:
          _target_: torch.optim.Adam
          _partial_: true
          lr: 0.001
          weight_decay: 0.0
        scheduler:
          _target_: torch.optim.lr_scheduler.ReduceLROnPlateau
          _partial_: true
          mode: min
          factor: 0.1
          patience: 10
        net:
          _target_: src.mnist_module.SimpleDenseNet
          dies_in: null # the forward pass in which the process is killed
        compile: false
    """,
    "configs/callbacks/default.yaml": """
        defaults:
          - model_checkpoint
          - learning_rate_monitor
          - _self_
        model_checkpoint:
          dirpath: ${paths.output_dir}/checkpoints
          filename: epoch_{epoch:03d}
          monitor: val/loss
          save_last: true
          auto_insert_metric_name: false
    """,
    "configs/callbacks/model_checkpoint.yaml": """
        model_checkpoint:
          _target_: lightning.pytorch.callbacks.ModelCheckpoint
          dirpath: null
          filename: null
          monitor: null
          save_last: null
          mode: min
          auto_insert_metric_name: true
          every_n_train_steps: null
    """,
    "configs/callbacks/learning_rate_monitor.yaml": """
        learning_rate_monitor:
          _target_: lightning.pytorch.callbacks.LearningRateMonitor
          logging_interval: step
    """,
    "configs/logger/csv.yaml": """
        csv:
          _target_: lightning.pytorch.loggers.csv_logs.CSVLogger
          save_dir: ${paths.output_dir}
          name: csv/
          prefix: ""
    """,
    "configs/trainer/default.yaml": """
        _target_: lightning.pytorch.trainer.Trainer
        default_root_dir: ${paths.output_dir}
        min_epochs: 1
        max_epochs: 10
        accelerator: cpu
        devices: 1
        check_val_every_n_epoch: 1
        enable_progress_bar: false
        log_every_n_steps: 1
    """,
    "configs/trainer/ddp_sim.yaml": """
        defaults:
          - default
        accelerator: cpu
        devices: 2
        strategy: ddp_spawn
    """,
    "configs/paths/default.yaml": """
        root_dir: ${oc.env:PROJECT_ROOT}
        log_dir: ${paths.root_dir}/logs/
        output_dir: ${hydra:runtime.output_dir}
    """,
    "configs/hydra/default.yaml": """
        run:
          dir: ${paths.log_dir}/${task_name}/runs/one
        sweep:
          dir: ${paths.log_dir}/${task_name}/multiruns/one
          subdir: ${hydra.job.num}
    """,
    "src/__init__.py": "",
    "src/random_datamodule.py": """
        import torch
        from lightning import LightningDataModule
        from torch.utils.data import DataLoader, TensorDataset

        class RandomDataModule(LightningDataModule):
            def __init__(self, batches, batch_size):
                super().__init__()
                self.save_hyperparameters(logger=False)

            def loader(self):
                count = self.hparams.batches * self.hparams.batch_size
                data = TensorDataset(torch.randn(count, 4), torch.randint(2, (count,)))
                return DataLoader(data, batch_size=self.hparams.batch_size)

            train_dataloader = val_dataloader = test_dataloader = loader
    """,
    "src/mnist_module.py": """
        import os, torch
        from lightning import LightningModule

        class SimpleDenseNet(torch.nn.Module):
            def __init__(self, dies_in):
                super().__init__()
                self.layer, self.dies_in, self.passes = torch.nn.Linear(4, 2), dies_in, 0

            def forward(self, x):
                self.passes += self.training
                if self.passes == self.dies_in:
                    os._exit(9)
                return self.layer(x)

        class MNISTLitModule(LightningModule):
            def __init__(self, net, optimizer, scheduler, compile):
                super().__init__()
                self.net, self.optimizer, self.scheduler = net, optimizer, scheduler
                self.criterion = torch.nn.CrossEntropyLoss()

            def model_step(self, batch):
                x, y = batch
                return self.criterion(self.net(x), y)

            def training_step(self, batch, batch_idx):
                loss = self.model_step(batch)
                self.log("train/loss", loss, on_step=False, on_epoch=True)
                return loss

            def validation_step(self, batch, batch_idx):
                self.log("val/loss", self.model_step(batch), on_step=False, on_epoch=True)

            def test_step(self, batch, batch_idx):
                self.log("test/loss", self.model_step(batch), on_step=False, on_epoch=True)

            def configure_optimizers(self):
                optimizer = self.optimizer(params=self.trainer.model.parameters())
                if self.scheduler is not None:
                    scheduler = self.scheduler(optimizer=optimizer)
                    return {
                        "optimizer": optimizer,
                        "lr_scheduler": {
                            "scheduler": scheduler, "monitor": "val/loss", "interval": "epoch", "frequency": 1,
                        },
                    }
                return {"optimizer": optimizer}
    """,
    "src/utils.py": """
        import hydra
        from omegaconf import DictConfig

        def instantiate_all(config):
            return [hydra.utils.instantiate(one) for _, one in (config or {}).items()
                    if isinstance(one, DictConfig) and "_target_" in one]

        def log_hyperparameters(cfg, trainer):
            from omegaconf import OmegaConf
            for logger in trainer.loggers:
                logger.log_hyperparams(OmegaConf.to_container(cfg))
    """,
    "src/train.py": """
        import os, sys
        from pathlib import Path

        root = Path(__file__).parent.parent  # what rootutils does there
        os.environ["PROJECT_ROOT"] = str(root)
        sys.path.insert(0, str(root))

        import hydra, lightning as L
        from src.utils import instantiate_all, log_hyperparameters

        def train(cfg):
            if cfg.get("seed"):
                L.seed_everything(cfg.seed, workers=True)
            datamodule = hydra.utils.instantiate(cfg.data)
            model = hydra.utils.instantiate(cfg.model)
            callbacks = instantiate_all(cfg.get("callbacks"))
            logger = instantiate_all(cfg.get("logger"))
            trainer = hydra.utils.instantiate(cfg.trainer, callbacks=callbacks, logger=logger)
            log_hyperparameters(cfg, trainer)
            if cfg.get("train"):
                trainer.fit(model=model, datamodule=datamodule, ckpt_path=cfg.get("ckpt_path"))
            train_metrics = dict(trainer.callback_metrics)
            if cfg.get("test"):
                best = trainer.checkpoint_callback.best_model_path
                trainer.test(model=model, datamodule=datamodule, ckpt_path=best or None)
            return {**train_metrics, **trainer.callback_metrics}

        @hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
        def main(cfg):
            return train(cfg)[cfg.optimized_metric].item()

        if __name__ == "__main__":
            main()
    """,
}

# All that the project has to add.
ADOPTION = {
    "configs/experiment/scheduled.yaml": """
        # @package _global_
        defaults:
          - /scheduler: warmup_cosine
          - override /callbacks: [default, cosched]
          - override /hydra/callbacks: schedule_report
        model:
          scheduler: null
        hydra:
          callbacks:
            schedule_report: {epochs: "${trainer.max_epochs}", epoch_length: "${data.batches}", maximize: false}
    """,
}


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip())


class App:
    """The project in a folder of its own, and what a run there has left."""

    def __init__(self, folder):
        write(folder, PROJECT | ADOPTION)
        self.folder = folder

    def __call__(self, *arguments):
        return Start("src/train.py", *arguments, cwd=self.folder)

    def rates(self, run):
        """By step, what Lightning's own monitor has logged."""
        rates = {}
        for file in sorted((self.folder / "logs/train" / run).rglob("metrics.csv")):
            with file.open(newline="") as rows:
                rates |= {int(row["step"]): float(row["lr-Adam"]) for row in csv.DictReader(rows) if row["lr-Adam"]}
        return [rates[step] for step in sorted(rates)]


@pytest.fixture
def app(tmp_path):
    return App(tmp_path)


def expected(updates, peak=0.1):
    """Goyal et al.'s schedule: a twentieth of the run, from one step up to the peak, then a cosine."""
    first = max(updates // 20, 1)
    decay = cosched.CosineAnnealing(start_value=peak, end_value=0, cycle_size=updates - first)
    return [peak * (i + 1) / (first + 1) for i in range(first)] + decay.values(range(updates - first)).tolist()


LENGTH = ("hydra.launcher.epochs=${trainer.max_epochs}", "hydra.launcher.epoch_length=${data.batches}")
GRID = ("-m", "experiment=scheduled", "scheduler.phases.decay.start_value=0.1,0.2", "trainer.max_epochs=2")


def test_a_sweep_is_previewed_at_the_trainers_length(app):
    run = app(*GRID, "hydra/launcher=preview", *LENGTH).check()
    assert "evaluated 2 schedules at 24 events" in run.out
    with (app.folder / "logs/train/multiruns/one/schedules.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for job, peak in (("0", 0.1), ("1", 0.2)):
        values = [float(row["value"]) for row in rows if row["job"] == job]
        assert values == pytest.approx(expected(12, peak), rel=1e-12)
    assert not list(app.folder.rglob("*.ckpt")), "no job ran"


def test_a_sweep_trains_what_was_previewed_and_is_reported(app):
    run = app(*GRID).check()
    for job, peak in (("0", 0.1), ("1", 0.2)):
        assert app.rates(f"multiruns/one/{job}") == pytest.approx(expected(12, peak), rel=1e-12)
    with (app.folder / "logs/train/multiruns/one/sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["error"] for row in rows] == ["", ""]
    assert all(math.isfinite(float(row["value"])) for row in rows)
    printed = [float(number) for number in re.findall(r"\d+\.\d+", run.out)]
    assert all(any(number == pytest.approx(float(row["value"]), rel=1e-3) for number in printed) for row in rows)


def test_a_run_that_was_killed_goes_on_exactly(app):
    run = (
        "experiment=scheduled",
        "trainer.max_epochs=3",
        "callbacks.model_checkpoint.every_n_train_steps=4",
        "callbacks.model_checkpoint.monitor=null",
        "+trainer.accumulate_grad_batches=2",
        "test=false",
    )
    assert app(*run, "model.net.dies_in=11").status == 9
    last = app.folder / "logs/train/runs/one/checkpoints/last.ckpt"
    app(*run, f"ckpt_path={last}", "hydra.run.dir=logs/train/runs/two").check()
    assert app.rates("runs/two") == pytest.approx(expected(9)[4:], rel=1e-12)
    refused = app(*run, f"ckpt_path={last}", "scheduler.phases.decay.end_value=0.05")
    assert refused.status == 1
    assert "end_value is 0.0 there and 0.05 here" in refused.err


def test_two_processes_share_the_batches(app):
    two = ("trainer=ddp_sim", "trainer.max_epochs=2", "test=false")
    Run(sys.executable, "src/train.py", "experiment=scheduled", *two, cwd=app.folder).check()
    assert app.rates("runs/one") == pytest.approx(expected(6), rel=1e-12)


def test_the_modules_own_scheduler_is_refused_with_few_words(app):
    own = "model.scheduler={_target_: torch.optim.lr_scheduler.ConstantLR, _partial_: true}"
    run = app("experiment=scheduled", own)
    assert run.status == 1
    assert "lr: lr of group 0 is driven by ConstantLR from configure_optimizers, too: use only one" in run.err
    assert "Traceback" not in run.err


def test_the_packaged_option_is_found_and_can_be_overridden(app):
    with initialize_config_dir(str(app.folder / "configs"), version_base="1.3"):
        config = compose("train", ["callbacks=[default,cosched]", "+scheduler=sgdr", "callbacks.cosched.optimizer=1"])
    assert list(config.callbacks) == ["model_checkpoint", "learning_rate_monitor", "cosched"]
    callback = instantiate(config.callbacks.cosched)
    assert isinstance(callback, cosched.ScheduleCallback)
    assert (callback.optimizer, callback.allow, callback.scheduler["cycle_size"]) == (1, (), "10ep")
