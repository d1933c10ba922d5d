"""``history.csv``: one row per iteration, with what the optimizer then held."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from cosched import BoundScheduler, Branched, ConfigError, Event
from cosched.digits.folder import replacing

Row = dict[str, str]

VALIDATED = "val_accuracy", "val_loss"


class History:
    """The rows of a run, those of the run that it continues first; a handler that adds a row.

    A scheduler has one column, as all its groups hold the same; a relative one has one column per group. The last row
    of each epoch also has what was validated then.

    Attributes:
        applied: by scheduler, for each row the values in its columns.
    """

    def __init__(self, schedulers: Mapping[str, Any], earlier: Sequence[Row]) -> None:
        self._schedulers, self._earlier = schedulers, earlier
        self._columns = columns = {name: _columns(name, scheduler) for name, scheduler in schedulers.items()}
        self._header = ["iteration", "epoch", *chain(*columns.values()), "train_loss", *VALIDATED]
        self._writer: Any = None
        self.applied = {
            name: [[float(row.get(column) or "nan") for column in own] for row in earlier]
            for name, own in columns.items()
        }

    @contextmanager
    def kept_in(self, path: Path) -> Iterator[None]:
        """Write the rows into ``path`` from now on."""
        with replacing(path) as part, part.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self._header)
            writer.writerows([row.get(column, "") for column in self._header] for row in self._earlier)
        # By lines, so that a run that is killed leaves a row for each iteration up to its last checkpoint.
        with path.open("a", newline="", buffering=1) as file:
            self._writer = csv.writer(file)
            yield

    def __call__(self, trainer: Engine) -> None:
        """Add the row of the iteration that ``trainer`` has completed."""
        held = {name: _held(scheduler) for name, scheduler in self._schedulers.items()}
        for name, values in held.items():
            self.applied[name].append(values)
        if self._writer is not None:
            state = trainer.state
            known = state.metrics if state.iteration % (state.epoch_length or 1) == 0 else {}
            validated = [known.get(name, "") for name in VALIDATED]
            self._writer.writerow([state.iteration, state.epoch, *chain(*held.values()), state.output, *validated])

    def last(self) -> dict[str, float]:
        """What was applied in the last row, by column."""
        return {
            column: value
            for name, own in self._columns.items()
            for column, value in zip(own, self.applied[name][-1], strict=True)
        }

    def declared(self, last: int, epoch_length: int) -> dict[str, list[list[float]]]:
        """What the schedules declare for the iterations of the rows, up to ``last``, laid out as `applied`."""
        return {
            name: _declared(one, range(last - len(self.applied[name]), last), epoch_length)
            for name, one in self._schedulers.items()
            if isinstance(one, BoundScheduler) and self.applied[name]
        }

    def before(self, last: int, epoch_length: int) -> dict[str, int]:
        """From which iteration on, from 0, what is in force is declared: until then an earlier run had its own.

        That is where a branch begins, or else where the last row of the run before is that differs from what is
        declared now.
        """
        found = {}
        for name, declared in self.declared(last, epoch_length).items():
            first = last - len(declared)
            rows = list(zip(declared, self.applied[name], strict=True))[: len(self._earlier)]
            schedule, length = self._schedulers[name].schedule, self._length(name, epoch_length)
            at = min(schedule.at * length, last) if isinstance(schedule, Branched) else 0
            found[name] = max([at, *(first + i + 1 for i, (now, then) in enumerate(rows) if now != then)])
        return found

    def restarts(self, last: int, epoch_length: int) -> dict[str, list[int]]:
        """At which iterations before ``last``, from 0, the cycles and phases of the schedules begin."""
        found = {}
        for name, one in self._schedulers.items():
            if isinstance(one, BoundScheduler):
                length = self._length(name, epoch_length)
                found[name] = (one.schedule.restarts(-(-last // length)) * length).tolist()
        return found

    def _length(self, name: str, epoch_length: int) -> int:
        """How many iterations there are from one event of a schedule to the next."""
        return epoch_length if self._schedulers[name].event.value == Event.EPOCH_STARTED.value else 1


def rows_until(path: Path, iteration: int) -> list[Row]:
    """The rows in ``path`` up to that of ``iteration``; what comes after it, a kill may have torn.

    Raises:
        ConfigError: they do not follow one another, or do not reach so far.
    """
    rows: list[Row] = []
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if None in row or None in row.values():
                    raise ValueError("it has not as many values as the header")
                number = int(row["iteration"])
                [float(value or "nan") for value in row.values()]
                if rows and number != int(rows[-1]["iteration"]) + 1:
                    raise ValueError(f"iteration {number} does not follow {rows[-1]['iteration']}")
                rows.append(row)
                if number == iteration:
                    return rows
    except FileNotFoundError:
        pass
    except (csv.Error, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: row {len(rows) + 1} is damaged: {error}; restore the file") from error
    last = rows[-1]["iteration"] if rows else "none"
    raise ConfigError(
        f"{path} ends at iteration {last}, before the checkpoint of iteration {iteration}: restore the file, or resume "
        "from a checkpoint that it reaches"
    )


def _columns(name: str, scheduler: Any) -> list[str]:
    if not getattr(scheduler, "relative", False):
        return [name]
    return [f"{name} ({group.get('name', i)})" for i, group in enumerate(scheduler.optimizer_param_groups)]


def _held(scheduler: Any) -> list[float]:
    if not isinstance(scheduler, BoundScheduler):
        return [float(scheduler.optimizer_param_groups[0][scheduler.param_name])]
    values = scheduler.target.read()
    return values if scheduler.relative else values[:1]


def _declared(scheduler: BoundScheduler, iterations: range, epoch_length: int) -> list[list[float]]:
    epochs = scheduler.event.value == Event.EPOCH_STARTED.value
    values = scheduler.schedule.values(np.array(iterations) // (epoch_length if epochs else 1)).tolist()
    return [scheduler.target.values(value) if scheduler.relative else [value] for value in values]
