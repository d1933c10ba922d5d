"""The folder of a run: who may write into it, which run it belongs to, and what a kill leaves there.

``run.json`` holds the id of the run, and so does each of its checkpoints: those that belong to the rows of
``history.csv`` are told from others. A new version of a file is written beside it, then put in its place. That is true
of what Hydra writes, too: a config is in ``.hydra.part``, and what is logged in memory, until the run begins to write.

All that ``run.json`` holds is plain data, from which the run's curves can be drawn without torch. Each time that the
run begins or goes on it is written anew, once its schedules are resolved::

    {
      "run": "4f...",                     # its id; null where an earlier version of ours began it
      "from": null,                       # or, of a run that has left another one's folder:
              {"run": "9a...",            #   the id of that one; null as above
               "file": "/.../trunk/checkpoint_90.pt",
               "iteration": 90},          #   after so many iterations of that one
      "epoch_length": 15, "max_epochs": 12, "iterations": 180,  # of the whole run, once it is at its end
      "schedulers": {"lr": {...}}         # by their names in history.csv, what their `state_dict()` gives
    }

In the state of a scheduler, ``schedule`` holds the shape and the fields, ``run`` the arguments of the `cosched.Run`
that resolves them into events, and ``event`` what is counted. Any app can write it: ``json.dumps(one.state_dict())``.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from cosched import ConfigError

log = logging.getLogger(__name__)

LOCK, RUN, HISTORY, CONFIG, PART = "run.lock", "run.json", "history.csv", ".hydra", ".part"
CHECKPOINT = re.compile(r"(?:checkpoint|snapshot)_([0-9]+)\.pt")


def say(text: str) -> None:
    """Print ``text``, and keep it in ``train.log``; what is logged as INFO is for that file alone."""
    tell(text)
    log.info(text)


def tell(text: str, to: TextIO | None = None) -> None:
    """Print ``text``. Whoever read it may have ended, as ``head`` does after some lines: that is no reason to fail."""
    to = to or sys.stdout
    try:
        print(text, file=to, flush=True)
    except OSError:
        with suppress(OSError, ValueError):  # where it is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


class LogFile(logging.FileHandler):
    """``train.log``: it is opened, and what has been logged so far is written, once the run begins to write."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename, encoding="utf-8", delay=True)
        self.held: list[logging.LogRecord] | None = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is logged, or hold it."""
        if self.held is None:
            super().emit(record)
        else:
            self.held.append(record)

    def begin(self) -> None:
        """Write what is held, and from now on all that is logged."""
        held, self.held = self.held or [], None
        for record in held:
            self.emit(record)


def keep(folder: Path) -> None:
    """Put into ``folder`` the config of a run, and what it has logged: it is not refused."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile):
            handler.begin()
    part = folder / (CONFIG + PART)
    if part.exists():
        (folder / CONFIG).mkdir(exist_ok=True)
        for file in part.iterdir():
            file.replace(folder / CONFIG / file.name)
        part.rmdir()


def discard(folder: Path) -> None:
    """Remove from ``folder`` the config of a run that has been refused."""
    shutil.rmtree(folder / (CONFIG + PART), ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of ``folder``; the system ends this with the process, also when that is killed.

    Raises:
        ConfigError: another run is there.
    """
    path = folder / LOCK
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            busy = os.fstat(file.fileno()).st_nlink == 0  # the other run ended, and removed it, since it was opened
        except BlockingIOError:
            busy = True
        except OSError as error:
            log.warning("%s cannot be locked (%s): let no other run write there", folder, error)
            busy = False
        if busy:
            raise ConfigError(
                f"another run is writing into {folder}: wait for its end, or choose another folder with hydra.run.dir"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The file to write instead of ``path``; it takes its place at the end, whole, or not at all."""
    part = path.with_name(path.name + PART)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints and snapshots in ``folder`` by the iterations in their names, the last one first."""
    matches = [(CHECKPOINT.fullmatch(file.name), file) for file in folder.glob("*.pt")]
    return sorted(((int(match[1]), file) for match, file in matches if match), reverse=True)


def record(folder: Path) -> dict[str, Any]:
    """What ``run.json`` in ``folder`` holds; nothing where there is none.

    Raises:
        ConfigError: it is damaged.
    """
    file = folder / RUN
    if not file.exists():
        return {}
    try:
        held = json.loads(file.read_bytes())
        if not isinstance(held, dict) or not isinstance(held["run"], (str, type(None))):
            raise TypeError("it holds no id of a run")
        return held
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{file} is damaged ({error}): restore it, or resume from another folder") from error


def run_of(folder: Path) -> str | None:
    """The id of the run whose ``history.csv`` is in ``folder``; None where nothing says it.

    Raises:
        ConfigError: ``run.json`` is damaged.
    """
    run: str | None = record(folder).get("run")
    return run


def refuse_used(folder: Path) -> None:
    """Refuse to start another run in a folder that has checkpoints.

    Raises:
        ConfigError: it has; the message says how to go on.
    """
    used = checkpoints(folder)
    if used:
        raise ConfigError(
            f"{folder} has the checkpoints of a run ({', '.join(file.name for _, file in used)}): continue that run "
            f"with hydra.run.dir={folder} resume_from={folder}, or choose another folder with hydra.run.dir, or for a "
            "sweep with hydra.sweep.dir"
        )


class Guard(Callback):
    """Refuses, before Hydra writes into a folder, a run or a sweep where there are checkpoints of another.

    It ends the process, for Hydra makes warnings of a callback's errors.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse as `refuse_used` does."""
        folder, source = Path(str(config.hydra.run.dir)), OmegaConf.select(config, "resume_from")
        source = folder.parent if source is None else Path(str(source))
        if (source.parent if source.is_file() else source).resolve() != folder.resolve():
            _end_if_used(folder)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep whose jobs, numbered as those of an earlier one, would be refused; but no preview."""
        sweep = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        numbered = isinstance(sweep, dict) and sweep["subdir"] == "${hydra.job.num}"
        resumed = any("resume_from=" in one for one in config.hydra.overrides.task) or config.resume_from is not None
        if numbered and not resumed and "preview" not in str(config.hydra.launcher._target_):
            for folder in sorted(Path(str(config.hydra.sweep.dir)).glob("[0-9]*")):
                _end_if_used(folder)


def _end_if_used(folder: Path) -> None:
    try:
        refuse_used(folder)
    except ConfigError as error:
        tell(str(error), sys.stderr)
        sys.exit(1)


def begin(folder: Path, run: Mapping[str, Any], iteration: int) -> None:
    """Make ``folder`` that of ``run``, which goes on after ``iteration``: the first writes of a run.

    ``run`` is what ``run.json`` is to hold.

    Later checkpoints go into a folder of their own, with the rows that belong to them, from which they can be resumed.
    """
    keep(folder)
    for file in folder.glob(f"*{PART}"):  # of a run that was killed
        if CHECKPOINT.fullmatch(file.stem) or file.stem in (RUN, HISTORY):
            file.unlink()
    later = [file for number, file in checkpoints(folder) if number > iteration]
    if later:
        aside = next(path for i in range(1, 10**6) if not (path := folder / f"set_aside_{i}").exists())
        aside.mkdir()
        for name in (RUN, HISTORY):
            if (folder / name).exists():
                shutil.copy(folder / name, aside)
        for file in later:
            file.rename(aside / file.name)
        say(f"later checkpoints are set aside in {aside}: {', '.join(file.name for file in later)}")
    with replacing(folder / RUN) as part:
        part.write_text(json.dumps(run, indent=2) + "\n")
