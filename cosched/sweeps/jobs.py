"""What tells the jobs of a sweep apart: their overrides, and their curves where those are the same."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, groupby
from pathlib import Path

from cosched.sweeps.curves import Curve
from cosched.sweeps.text import short

CONFIG_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")  # Hydra's


def as_dict(overrides: Sequence[str]) -> dict[str, str]:
    """A job's overrides by key."""
    pairs = (override.partition("=") for override in overrides)
    return {key: value for key, _, value in pairs}


def differing(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """The override keys that do not have one and the same value in every job, in the order of their first use."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def names(keys: Sequence[str], paths: Iterable[str] = (), taken: Iterable[str] = ()) -> dict[str, str]:
    """By key what it is called: its last name, with as much before it as tells it from the others.

    That is the name of its schedule, too, where there are schedules at several ``paths``. No key is called ``taken``.
    """
    several, driven = set(paths), list(taken)
    return {key: _name(key, [*(other for other in keys if other != key), *driven], several) for key in keys}


def told_apart(jobs: Iterable[Mapping[str, str]], curves: Sequence[Curve]) -> dict[str, str]:
    """By key what the overrides are called in which jobs with these curves differ."""
    paths, driven = {c.path for c in curves}, {c.schedule.param_name for c in curves}
    return names(differing(list(jobs)), paths, driven)


def _name(key: str, others: Sequence[str], paths: set[str]) -> str:
    parts = key.split(".")
    for first in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[first:])
        schedule = [path for path in paths if len(paths) > 1 and key.startswith(f"{path}.")]
        whole = all(first < len(path.split(".")) for path in schedule)
        if whole and not any(f".{other}".endswith(f".{name}") for other in others):
            return name
    return key


def schedules(curves: Iterable[Curve]) -> dict[str, str]:
    """By path what a schedule is called: the parameter that it drives, after its own name where there are several."""
    driven = {c.path: f"{c.schedule.param_name}{' (factor)' * c.schedule.relative}" for c in curves}
    if len(driven) == 1:
        return driven
    called = names(list(driven))
    return {path: name if called[path] == name else f"{called[path]}: {name}" for path, name in driven.items()}


def label(overrides: Mapping[str, str], called: Mapping[str, str], job: object) -> str:
    """What tells a job from the others: those of its overrides that are ``called`` something."""
    return " ".join(words(overrides, called)) or f"job {job}"


def words(overrides: Mapping[str, str], called: Mapping[str, str]) -> list[str]:
    """Each override of a job that is ``called`` something; a deletion has no value."""
    return [
        name if key.startswith("~") and not overrides[key] else f"{name}={overrides[key]}"
        for key, name in called.items()
        if key in overrides
    ]


def together(jobs: Iterable[Mapping[str, str]], called: Mapping[str, str]) -> dict[str, str]:
    """The values of several jobs' overrides, by what those are ``called``."""
    values = joined(list(jobs))
    return {name: short(values.get(key, "")) for key, name in called.items()}


def joined(jobs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """By key all the values that several jobs' overrides have."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return {key: ", ".join(dict.fromkeys(job[key] for job in jobs if key in job)) for key in keys}


def program() -> list[str]:
    """The words that start the app that is running, with its config; none: it is our own command, or has no file."""
    file, *given = sys.argv
    module = getattr(sys.modules["__main__"], "__spec__", None)
    if module is not None and module.origin == file:  # python -m
        words = ["python", "-m", module.name.removesuffix(".__main__")]
    else:
        words = ["python", file] if file.endswith(".py") else [Path(file).name]
    if words[-1] in ("", "-c", "cosched"):
        return []
    for i, word in enumerate(given):
        if word.partition("=")[0] in CONFIG_FLAGS:
            words += given[i : i + 1 + ("=" not in word)]
    return words


def command(overrides: Mapping[str, str], program: Sequence[str]) -> str:
    """What runs a job alone, in a shell: the words that start its `program`, and its overrides; empty without those."""
    given = [key if key.startswith("~") and not value else f"{key}={value}" for key, value in overrides.items()]
    return shlex.join([*program, *given]) if program else ""


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers in short: ``0-3, 7``."""
    found = []
    for _, group in groupby(zip(numbers, count(), strict=False), key=lambda pair: pair[0] - pair[1]):
        run = [number for number, _ in group]
        found.append(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)))
    return ", ".join(found)


def of_schedule(key: str, paths: Iterable[str]) -> bool:
    """Whether an override of this key says what a schedule at one of the ``paths`` is, and nothing else."""
    place = key.lstrip("+~").rpartition("@")[2]
    around = re.search("sched", place.rpartition(".")[2]) is not None  # several by name: its own are inside it
    return any(f"{place}.".startswith(f"{path}.") or (around and path.startswith(f"{place}.")) for path in paths)


def does(curves: Sequence[Curve]) -> tuple[object, ...]:
    """What the schedules of a job do; equal where they do the same."""
    return tuple(
        (c.path, c.fingerprint, s.param_name, s.param_group, s.param_group_index, s.relative, s.event)
        for c in curves
        for s in [c.schedule]
    )


def repeats(jobs: Sequence[tuple[Mapping[str, str], Sequence[Curve]]], idle: Sequence[Iterable[str]]) -> dict[int, int]:
    """For each job that does what an earlier one does, that job.

    They have the same curves and differ in nothing but overrides of schedules, and those that have no effect, which are
    ``idle``. What differs in its seed is another job.
    """
    first: dict[object, int] = {}
    same = {}
    for i, (overrides, curves) in enumerate(jobs):
        paths = [c.path for c in curves]
        others = {k: v for k, v in overrides.items() if not of_schedule(k, paths) and k not in idle[i]}
        earlier = first.setdefault((tuple(sorted(others.items())), does(curves)), i)
        if curves and earlier != i:
            same[i] = earlier
    return same


def repetition(job: Mapping[str, str], earlier: Mapping[str, str], idle: Iterable[str], which: str) -> list[str]:
    """That a job repeats an ``earlier`` one, which is called ``which``, in words.

    Nothing, if ``idle`` keys alone tell them apart: of those it is said anyway that they have no effect.
    """
    differ = [key for key in job if earlier.get(key) != job[key]]
    changed = [f"{key}={job[key]}" for key in differ if key not in idle]
    if differ and not changed:
        return []
    why = f": {' '.join(changed)} {'makes' if len(changed) == 1 else 'make'} no difference" if changed else ""
    return [f"does the same as {which}{why}"]


def twins(jobs: Sequence[Sequence[Curve]]) -> dict[tuple[int, str], int]:
    """For each (job, path) whose curve an earlier job has too, that job."""
    first: dict[tuple[str, str], int] = {}
    same = {}
    for i, curves in enumerate(jobs):
        for c in curves:
            earlier = first.setdefault((c.path, c.fingerprint), i)
            if earlier != i:
                same[i, c.path] = earlier
    return same
