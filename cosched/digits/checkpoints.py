"""The checkpoints of the main job: saving them, and finding, checking and loading the one to continue from."""

from __future__ import annotations

import logging
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
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
from cosched.digits.folder import CHECKPOINT, HISTORY, RUN, checkpoints, record, replacing, run_of
from cosched.digits.history import Row, rows_until

log = logging.getLogger(__name__)

MS_DOS_FOLDER = 0x10


class Disk(BaseSaveHandler):
    """Saves as ignite's `DiskSaver` does, but what a kill leaves has a name that says which file it was to be.

    Attributes:
        folder: where to.
        keep: whether the checkpoint of an iteration is there for good, also when it is asked to remove it.
    """

    def __init__(self, folder: Path, keep: Callable[[int], bool] = lambda _: False) -> None:
        self.folder, self.keep = folder, keep

    def __call__(self, checkpoint: Mapping[str, Any], filename: str, metadata: Any = None) -> None:
        """Save a checkpoint, whole or not at all."""
        if idist.get_rank() == 0:
            with replacing(self.folder / filename) as part:
                torch.save(checkpoint, part)

    def remove(self, filename: str) -> None:
        """Remove a checkpoint, unless it is one to keep."""
        match = CHECKPOINT.fullmatch(filename)
        if idist.get_rank() == 0 and not (match and self.keep(int(match[1]))):
            (self.folder / filename).unlink(missing_ok=True)


def save_checkpoints(
    trainer: Engine, state: Mapping[str, Any], folder: Path, run: Run, every: Any, keep: Any, snapshots: bool
) -> None:
    """Save ``state`` regularly and at the end, and if asked at the end of each cycle of a schedule.

    ``keep`` says which of them to keep: so many, the last ones, ``"all"``, or the last two and for good those at the
    multiples of ``{"every": "2ep"}``, where they are saved in any case.

    Raises:
        ConfigError: one of these is not what it may be.
    """
    try:
        iterations, last, multiple = run.events("trainer.checkpoint_every", every, 1), *_kept(keep, run)
    except ValueError as error:
        raise ConfigError(str(error)) from error

    def for_good(iteration: int) -> bool:
        return bool(multiple) and iteration % multiple == 0

    checkpoint = Checkpoint(state, Disk(folder, for_good), n_saved=last)
    due = Events.ITERATION_COMPLETED(event_filter=lambda _, i: i % iterations == 0 or for_good(i))
    trainer.add_event_handler(due | Events.COMPLETED, checkpoint)
    if snapshots:
        if not any(isinstance(one, BoundScheduler) for one in state.values()):
            raise ConfigError("snapshots=true saves one checkpoint per cycle, but no scheduler here has cycles")
        snapshot = Checkpoint(state, Disk(folder), n_saved=None, filename_pattern="snapshot_{global_step}.{ext}")
        trainer.add_event_handler(CycleEvents.CYCLE_COMPLETED, snapshot)


def _kept(keep: Any, run: Run) -> tuple[int | None, int]:
    """How many of the last checkpoints are kept, or None for all, and of what number the others are multiples."""
    if keep == "all":
        return None, 0
    if type(keep) is int and keep >= 1:  # True is an int too
        return keep, 0
    if isinstance(keep, Mapping) and [*keep] == ["every"] and type(keep["every"]) in (int, str):
        return 2, run.events("keep_checkpoints.every", keep["every"], 1)
    raise ConfigError(
        f"keep_checkpoints={keep!r} must be a number of at least 1, for so many last ones, or all, or {{every: 2ep}}, "
        "for those at the multiples and the last two"
    )


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

    def is_in(self, folder: Path) -> bool:
        """Whether its run is the one in ``folder``."""
        return self.file.parent.resolve() == folder.resolve()

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
                "of that run; if only the schedulers are others, set on_mismatch=config in each of them"
            )
        if self.state["trainer"]["epoch_length"] != epoch_length:  # the engine would silently go on with its own
            raise ConfigError(
                f"the run of {self.file} has epochs of {self.state['trainer']['epoch_length']} iterations, and this "
                f"one of {epoch_length}: keep trainer.batch_size and data.val_fraction as they were"
            )
        for key in state.keys() & self.state.keys():
            try:
                state[key].load_state_dict(self.state[key])
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ConfigError(f"{self.file}: {key}: {error}") from error


def identity(earlier: Earlier | None, folder: Path) -> dict[str, Any]:
    """What ``run.json`` in ``folder`` says of a run that continues ``earlier``: its id, and where it is from."""
    if earlier is None:
        return {"run": uuid.uuid4().hex, "from": None}
    if earlier.is_in(folder):
        return {"run": earlier.run, "from": record(folder).get("from")}
    left = {"run": earlier.run, "file": str(earlier.file.resolve()), "iteration": earlier.iteration}
    return {"run": uuid.uuid4().hex, "from": left}


def find(path: Path, at: Any = None) -> Earlier:
    """The checkpoint to continue from, and the rows that belong to it.

    It is ``path``, or the last good one in the folder of a run, or the one there of a point in that run: ``at``, as
    120, ``"120it"``, ``"8ep"``, ``"50%"``, or the name of a file.

    Raises:
        ConfigError: there is none, or its rows are not whole.
    """
    if at is not None:
        file, state = _at(path, at)
    elif path.is_file():
        file, state = path, _read(path)
    else:
        file, state = _last_good(path)
    folder, iteration = file.parent, state["trainer"]["iteration"]
    if not ((folder / HISTORY).exists() or (folder / RUN).exists()):
        log.warning("there is no %s beside %s: that of this run begins after iteration %s", HISTORY, file, iteration)
        return Earlier(file, state, [])
    return Earlier(file, state, rows_until(folder / HISTORY, iteration))


def _at(folder: Path, at: Any) -> tuple[Path, dict[str, Any]]:
    if folder.is_file():
        raise ConfigError(
            f"resume_at={at} chooses a checkpoint in the folder of a run, but resume_from={folder} is a checkpoint: "
            "leave resume_at out, or give the folder"
        )
    if isinstance(at, str) and (folder / at).is_file():
        return folder / at, _read(folder / at)
    _, last = _last_good(folder)  # it knows how long that run was to be
    length = last["trainer"]["epoch_length"]
    try:
        iteration = Run(epoch_length=length, max_epochs=last["trainer"]["max_epochs"]).events("resume_at", at, 0)
    except ValueError as error:
        raise ConfigError(f"{error}; or give the name of a file in {folder}") from error
    found = [(number, file) for number, file in checkpoints(folder) if number == iteration]
    if not found:
        nearest = sorted({number for number, _ in checkpoints(folder)}, key=lambda number: abs(number - iteration))[:10]
        there = ", ".join(f"{n}it ({n / length:.4g}ep)" for n in sorted(nearest))
        raise ConfigError(
            f"resume_from={folder} has no checkpoint of iteration {iteration}, which is resume_at={at}: there are "
            f"{there}; with keep_checkpoints a run says which ones it keeps"
        )
    return _last_good(folder, found)


def _last_good(folder: Path, found: Sequence[tuple[int, Path]] | None = None) -> tuple[Path, dict[str, Any]]:
    for _, file in checkpoints(folder) if found is None else found:
        try:
            return file, _read(file)
        except ConfigError as error:
            log.warning("%s", error)
    if not folder.exists():
        raise ConfigError(f"resume_from={folder} does not exist: give a checkpoint, or the folder of a run")
    which = "" if found is None else f" of iteration {found[0][0]}"
    raise ConfigError(f"resume_from={folder} holds no good checkpoint{which}: give one, or the folder of a run")


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
            f"{file} is not of the run whose {HISTORY} is beside it, as {RUN} says: move it into a folder of its own"
        )
    return state
