"""An app that is not ours, and its commands, most of them run in this process, which is ten times as quick."""

import gc
import logging
import runpy
import sys
import warnings

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins

from cosched.sweeps import pictures, summary

Plugins.instance()  # what they store is then among what each test begins with

APP = """
import os, shutil, sys
from decimal import Decimal
from pathlib import Path
import hydra, numpy
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

class Odd(Exception):
    def __init__(self, one, two):  # so it does not survive pickling
        super().__init__(f"{one} and {two}")

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no")

def task(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    match cfg.do:
        case "score": return OmegaConf.to_object(cfg.train.schedule)(50) + cfg.seed
        case "torch": torch_loop(cfg)
        case "ignite": ignite_loop(cfg)
        case "torch_and_fail": torch_loop(cfg); raise RuntimeError("as asked")
        case "fail": raise RuntimeError("as asked")
        case "odd": raise Odd(1, 2)
        case "mute": raise Mute
        case "exit": sys.exit(0)
        case "exit_3": raise SystemExit(3)
        case "os_exit": os._exit(0)
        case "interrupt": raise KeyboardInterrupt
        case "not_a_number": return float("nan")
        case "infinite": return -numpy.inf
        case "nothing": return None
        case "text": return "0.5"
        case "decimal": return Decimal("0.25")
        case "scalar": return numpy.float32(0.5)
        case "array": return numpy.array(0.75)
        case "delete": shutil.rmtree(folder); return 2.0
        case "delete_and_fail": shutil.rmtree(folder); raise RuntimeError("as asked")
        case "damage": (folder / "schedule.json").write_text('{"job": 0, "sche'); return 3.0
        case "damage_and_fail": (folder / "schedule.json").write_bytes(b"\\x80"); raise RuntimeError("as asked")
        case "foreign":
            for name, text in (("a", "[1, 2]"), ("b", '{"job": 0}'), ("c", "[" * 100_000)):
                (folder / name).mkdir()
                (folder / name / "schedule.json").write_text(text)
            (folder / "copy").mkdir()
            shutil.copy(folder / "schedule.json", folder / "copy")
            return 4.0

def optimizer():
    import torch
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)

def torch_loop(cfg):  # sees the schedule's run
    import cosched
    cosched.TorchScheduler(optimizer(), cfg.train.schedule, epoch_length=7, max_epochs=cfg.epochs)

def ignite_loop(cfg):
    import cosched
    from ignite.engine import Engine
    trainer = Engine(lambda engine, batch: None)
    cosched.attach(trainer, cfg.train.schedule, optimizer())
    trainer.run(range(7), max_epochs=cfg.epochs)

@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg):
    assert not cfg.previewed, "the task ran"
    return task(cfg)

if __name__ == "__main__":
    main()
    print("heavy:", sorted({"torch", "ignite"} & sys.modules.keys()))
"""

CONFIG = """
defaults:
  - scheduler@train.schedule: cosine_annealing
  - _self_
previewed: false
do: score
note: none
seed: 0
epochs: 4
train:
  schedule: {start_value: 0.1, end_value: 0.001, cycle_size: 15, cycle_mult: 2}
"""


class Command:
    """A finished command, run in this process: its exit status and what it printed."""

    def __init__(self, capsys):
        self.status = 0
        for logger in (logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)):
            for handler in logger.handlers[:]:  # of an app before, whose streams are gone
                if getattr(getattr(handler, "stream", None), "closed", False):
                    logger.removeHandler(handler)
        for text in ("The version_base parameter is deprecated", "hydra.utils.instantiate.. resolved"):  # Hydra 1.4
            warnings.filterwarnings("ignore", text)
        try:
            runpy.run_path("app.py", run_name="__main__")
        except SystemExit as stop:
            self.status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):  # Python prints it at the end of a process
                print(stop.code, file=sys.stderr)
        except KeyboardInterrupt:
            self.status = 130
        GlobalHydra.instance().clear()
        gc.collect()  # as at the end of a process
        self.out, self.err = capsys.readouterr()

    def check(self):
        assert self.status == 0, self.out + self.err
        return self


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an app, and a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def sketched(monkeypatch):
    """Pictures are files of a few bytes: drawing takes longer than all the rest."""

    def draw(path, *args):
        path.write_bytes(b"picture")
        return [path]

    monkeypatch.setattr(pictures, "draw_curves", draw)
    monkeypatch.setattr(summary, "draw_curves", draw)


@pytest.fixture
def app(folder, monkeypatch, capsys, hydra_restore_singletons):
    """Runs a sweep of the app, in this process."""
    monkeypatch.chdir(folder)

    def run(*arguments, multirun=True):
        quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none"]  # files that would stay open
        command = ["app.py", *["-m"] * multirun, "hydra.sweep.dir=out", *quiet, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        return Command(capsys)

    return run
