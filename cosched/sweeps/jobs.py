"""What tells the jobs of a sweep apart: their overrides, and their curves where those are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cosched.sweeps.curves import Curve


def as_dict(overrides: Sequence[str]) -> dict[str, str]:
    """A job's overrides by key."""
    pairs = (override.partition("=") for override in overrides)
    return {key: value for key, _, value in pairs}


def differing(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """The override keys that do not have one and the same value in every job, in the order of their first use."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def label(overrides: Mapping[str, str], keys: Sequence[str], job: int) -> str:
    """What tells a job from the others: its overrides of ``keys``, without the path where the last name is enough."""
    last = {key: key.rpartition(".")[2] for key in keys}
    names = {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}
    return " ".join(f"{name}={overrides[key]}" for key, name in names.items() if key in overrides) or f"job {job}"


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
