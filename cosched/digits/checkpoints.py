"""The checkpoints of the main job: saving them, and finding, checking and loading the one to continue from."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from ignite.handlers.checkpoint import BaseSaveHandler
from torch import Tensor

from cosched import BoundScheduler, ConfigError, CycleEvents, Mismatch, Run
from cosched.digits.folder import HISTORY, RUN, checkpoints, replacing, run_of
from cosched.digits.history import Row, rows_until

log = logging.getLogger(__name__)

MS_DOS_FOLDER = 0x10


class Disk(BaseSaveHandler):
    """Saves as ignite's `DiskSaver` does, but what a kill leaves has a name that says which file it was to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, checkpoint: Mapping[str, Any], filename: str, metadata: Any = None) -> None:
        """Save a checkpoint, whole or not at all."""
        if idist.get_rank() == 0:
            with replacing(self.folder / filename) as part:
                torch.save(checkpoint, part)

    def remove(self, filename: str) -> None:
        """Remove a checkpoint."""
        if idist.get_rank() == 0:
            (self.folder / filename).unlink(missing_ok=True)


def save_checkpoints(
    trainer: Engine, state: Mapping[str, Any], folder: Path, run: Run, every: Any, snapshots: bool
) -> None:
    """Save ``state`` regularly, the last two times kept, and if asked at the end of each cycle of a schedule."""
    try:
        iterations = run.events("trainer.checkpoint_every", every, 1)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    checkpoint = Checkpoint(state, Disk(folder), n_saved=2)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=iterations) | Events.COMPLETED, checkpoint)
    if snapshots:
        if not any(isinstance(one, BoundScheduler) for one in state.values()):
            raise ConfigError("snapshots=true saves one checkpoint per cycle, but no scheduler here has cycles")
        snapshot = Checkpoint(state, Disk(folder), n_saved=None, filename_pattern="snapshot_{global_step}.{ext}")
        trainer.add_event_handler(CycleEvents.CYCLE_COMPLETED, snapshot)


@dataclass(frozen=True)
class Earlier:
    """The checkpoint that a run continues from.

    Attributes:
        file: where it was read.
        state: what it holds.
        rows: the history of its run up to its iteration.
    """

    file: Path
    state: dict[str, Any]
    rows: list[Row]

    @property
    def iteration(self) -> int:
        """The iteration after which it was saved."""
        return int(self.state["trainer"]["iteration"])

    @property
    def run(self) -> str | None:
        """The id of its run; None in one that has been saved by an earlier version."""
        run: str | None = self.state["trainer"].get("run")
        return run

    def load(self, state: Mapping[str, Any], schedulers: Mapping[str, Any], epoch_length: int) -> None:
        """Load it into ``state``.

        Raises:
            ConfigError: its run had another config.
        """
        others = state.keys() ^ self.state.keys()
        renamed = all(key.startswith("scheduler ") for key in others)
        if others and not (renamed and all(one.on_mismatch is Mismatch.config for one in schedulers.values())):
            raise ConfigError(
                f"{self.file} holds {', '.join(self.state)}, but this config makes {', '.join(state)}: use the config "
                "of that run, or for other schedulers on_mismatch=config in each"
            )
        if self.state["trainer"]["epoch_length"] != epoch_length:  # the engine would silently go on with its own
            raise ConfigError(
                f"the run of {self.file} has epochs of {self.state['trainer']['epoch_length']} iterations, this one of "
                f"{epoch_length}: keep trainer.batch_size and data.val_fraction as they were"
            )
        for key in state.keys() & self.state.keys():
            try:
                state[key].load_state_dict(self.state[key])
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ConfigError(f"{self.file}: {key}: {error}") from error


def find(path: Path) -> Earlier:
    """The checkpoint ``path``, or the last good one in the folder of a run, and the rows that belong to it.

    Raises:
        ConfigError: there is none, or its rows are not whole.
    """
    if path.is_file():
        file, state = path, _read(path)
    else:
        file, state = _last_good(path)
    folder, iteration = file.parent, state["trainer"]["iteration"]
    if not ((folder / HISTORY).exists() or (folder / RUN).exists()):
        log.warning("no %s is beside %s: this run's begins after iteration %s", HISTORY, file, iteration)
        return Earlier(file, state, [])
    return Earlier(file, state, rows_until(folder / HISTORY, iteration))


def _last_good(folder: Path) -> tuple[Path, dict[str, Any]]:
    for _, file in checkpoints(folder):
        try:
            return file, _read(file)
        except ConfigError as error:
            log.warning("%s", error)
    raise ConfigError(f"resume_from={folder} holds no good checkpoint: give one, or the folder of a run")


def _read(file: Path) -> dict[str, Any]:
    """What a checkpoint holds, after a check of all that is used of it before it is loaded."""
    try:
        with zipfile.ZipFile(file) as archive:  # torch does not look at the checksums, and reads a folder as zeros
            folders = [part.filename for part in archive.infolist() if part.external_attr & MS_DOS_FOLDER]
            if damaged := archive.testzip() or folders:
                raise ValueError(f"its {damaged} is damaged")
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        position = state["trainer"]
        for name in ("iteration", "epoch_length", "max_epochs"):
            if type(position[name]) is not int or position[name] < 1:
                raise ValueError(f"its {name} is {position[name]!r}, not a whole number above 0")
        for name in ("model", "average"):
            for key, weights in state.get(name, {}).items():
                if isinstance(weights, Tensor) and not weights.isfinite().all():
                    raise ValueError(f"the weights {key} are not finite")
        run = position.get("run")
    except Exception as error:  # as many kinds as there are ways to damage a file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{file} is not a good checkpoint of a run: {reason}") from error
    if (file.with_name(HISTORY).exists() or file.with_name(RUN).exists()) and run != run_of(file.parent):
        raise ConfigError(
            f"{file} is of another run than the {HISTORY} beside it, as {RUN} says: move it into a folder of its own"
        )
    return state
