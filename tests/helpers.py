"""What several test modules use."""

import csv
import importlib.util
import multiprocessing
import os
import runpy
import subprocess
import sys
import sysconfig
import venv
from copy import deepcopy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_module
from omegaconf import DictConfig

ROOT = Path(__file__).parent.parent
JOB = Path(sys.executable).parent / "cosched-train"
# Epochs of 15 iterations, as in the main job's own config, of a network and batches that take no time.
TINY = ("trainer.progress_bar=false", "model.channels=1", "data.val_fraction=0.9", "trainer.batch_size=12")


class Run:
    """A finished command: its exit status and what it printed."""

    def __init__(self, *command: object, cwd: Path) -> None:
        done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def check(self) -> "Run":
        assert self.status == 0, self.out + self.err
        return self


SERVER = multiprocessing.get_context("forkserver")  # of processes that have loaded already what takes long
SERVER.set_forkserver_preload(
    ["hydra", "ignite.handlers", "matplotlib.figure", "rich.table", "sklearn.datasets", "sklearn.model_selection"]
)


def _program(command: list[str], cwd: Path, unset: tuple[str, ...]) -> None:
    os.chdir(cwd)
    for name in unset:
        os.environ.pop(name, None)
    for stream, name in (1, "out.txt"), (2, "err.txt"):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")


class Start(Run):
    """A finished program of Python, a file with arguments, that has begun with torch and the like loaded.

    Variables of the environment that are ``unset`` are not there.
    """

    def __init__(self, *command: object, cwd: Path, unset: tuple[str, ...] = ()) -> None:
        process = SERVER.Process(target=_program, args=([str(c) for c in command], cwd, unset))
        process.start()
        process.join()
        self.status, self.out, self.err = (
            process.exitcode,
            *((cwd / name).read_text() for name in ("out.txt", "err.txt")),
        )


def environment(folder: Path, *wheels: Path) -> Path:
    """The Python of a new environment that has ``wheels`` and, from this one, all that is not ours."""
    venv.create(folder)
    python = folder / "bin/python"
    site = Run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).check().out.strip()
    # A .pth adds our packages but not the .pth files among them, so the editable cosched stays out.
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if wheels:
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        Run(*pip, "install", "--no-deps", "--no-index", *wheels, cwd=folder).check()
    return python


def build_wheel(folder: Path) -> Path:
    """Our wheel, built into ``folder``."""
    Run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT).check()
    return next(folder.glob("*.whl"))


SEVERAL = """
lr:
  _target_: cosched.PhasesScheduler
  param_name: lr
  phases:
    warmup: {_target_: cosched.Phase, shape: polynomial_annealing, start_value: 0, end_value: 0.1, duration: 1ep}
    decay: {_target_: cosched.Phase, shape: cosine_annealing, start_value: 0.1, end_value: 0, cycle_size: 50%}
beta: {_target_: cosched.LinearCyclicalScheduler, param_name: "betas[0]", start_value: 0.9, end_value: 0.8,
       cycle_size: 2, event: EPOCH_STARTED}
decay: {_target_: cosched.ConstantScheduler, param_name: weight_decay, value: 0.5, param_group: "back*"}
"""  # three schedulers for an optimizer with betas, in groups of which some have a name


def several(updates: range, epoch_length: int, max_epochs: int) -> list[list[float]]:
    """What the schedulers above give at some updates of a run: the rate, the beta and the decay."""
    from cosched import CosineAnnealing, LinearCyclical, Phases, PolynomialAnnealing, lasting

    warmup = PolynomialAnnealing(start_value=0, end_value=0.1, cycle_size=epoch_length)
    cosine = CosineAnnealing(start_value=0.1, end_value=0, cycle_size=epoch_length * max_epochs // 2, num_cycles=1)
    lr = Phases(phases={"warmup": lasting(warmup, epoch_length), "decay": cosine})
    beta = LinearCyclical(start_value=0.9, end_value=0.8, cycle_size=2)
    return [[lr(i), beta(i // epoch_length), 0.5] for i in updates]


def timm_schedulers():
    """timm's schedulers without the rest of timm, whose import needs torchvision."""
    sys.modules["timm"] = importlib.util.module_from_spec(importlib.util.find_spec("timm"))
    try:
        return importlib.import_module("timm.scheduler")
    finally:
        del sys.modules["timm"]


def random_parameters(rng):
    """A shape's name and parameters with which ignite does not fail within 200 events."""
    name = str(rng.choice(["CosineAnnealing", "LinearCyclical"]))
    fields = {
        "start_value": rng.uniform(1e-3, 1),
        "end_value": rng.uniform(1e-3, 1),
        "cycle_size": int(rng.integers(2, 60)),
        "cycle_mult": float(rng.choice([1, 1.5, 2, 3, rng.uniform(1, 3)])),
        "start_value_mult": float(rng.choice([1, rng.uniform(0.7, 1.1)])),
        "end_value_mult": float(rng.choice([1, rng.uniform(0.7, 1.1)])),
    }
    if name == "LinearCyclical":
        fields["monotonic"] = bool(rng.integers(2))
    if fields.get("monotonic", True):
        fields["warmup_duration"] = int(rng.choice([0, rng.integers(1, 20)]))
    return name, fields


@cache
def _composed(*overrides: str) -> DictConfig:
    import cosched.digits.command  # noqa: F401  # registers the resolver that the config uses

    with initialize_config_module("cosched.digits.conf", version_base="1.3"):
        return compose("config", [f"hydra.searchpath=[file://{ROOT / 'conf'}]", *overrides])


def composed(*overrides: str) -> DictConfig:
    """The main job's config, to be changed at will; ``+experiment=...`` is found too."""
    return deepcopy(_composed(*overrides))


def train_tiny(folder: Path, *overrides: str) -> float:
    """Run the main job, tiny, in this process."""
    from cosched.digits.training import train

    folder.mkdir(exist_ok=True)
    resumed = [one for one in overrides if one.startswith("resume_from=")]  # another path each time: not to be composed
    config = composed(*TINY, *(one for one in overrides if one not in resumed))
    config.merge_with_dotlist(resumed)
    return train(config, folder)


def history(folder: Path) -> list[dict[str, str]]:
    """The rows that a run of the main job has left."""
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    """The numbers in one column of a history."""
    return [float(row[name]) for row in rows]


_INNER = [
    "+cosched/phase@scheduler.{at}=cosine_annealing",
    "scheduler.{at}.start_value=1",
    "scheduler.{at}.end_value=0.5",
]
_FIELDS = {  # what shapes need besides, those that are not cycles
    "branched": [one.format(at="phases.branch") for one in _INNER],
    "constant": ["scheduler.value=0.5"],
    "inverse_sqrt": ["scheduler.start_value=0.5", "scheduler.timescale=2ep"],
    "phases": [one.format(at="phases.only") for one in _INNER],
    "piecewise_linear": ["scheduler.milestones=[[0,0.1],[2ep,0.5]]"],
    "product": [one.format(at="factors.only") for one in _INNER],
    "scaled": [*(one.format(at="schedule") for one in _INNER), "scheduler.factor=0.5"],
    "stages": ["scheduler.durations=[25%,null]", "scheduler.levels=[1,2]"],
    "step_decay": ["scheduler.start_value=0.5", "scheduler.every=2ep"],
}
_CYCLE = ["scheduler.start_value=0.9", "scheduler.end_value=0.1", "scheduler.cycle_size=25%"]


@cache
def options() -> dict[str, list[str]]:
    """By name, every packaged option of the group ``scheduler``, with overrides for what it does not say itself."""
    from cosched.schedules.registry import registered

    presets = {path.stem: [] for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")}
    return {name: _FIELDS.get(name, _CYCLE) for name in registered()} | presets
