"""What errors say: where something stands, and how a misspelt name is spelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The nearest of ``names`` to ``name``, if one is near, and all that there are."""
    names = list(names)
    return f"{nearest(name, names)}There are: {', '.join(names) or 'none'}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Whether the nearest of ``names`` to ``name`` was meant, if one is near; else an empty text."""
    import difflib

    # Two letters of which one is wrong, "Ir" for "lr", are alike by half.
    return "".join(f"did you mean {match!r}? " for match in difflib.get_close_matches(name, names, n=1, cutoff=0.5))


@contextmanager
def within(path: str) -> Iterator[None]:
    """Let errors about a field tell where it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}{error}") from error
