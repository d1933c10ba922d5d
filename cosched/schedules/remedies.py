"""What errors say: where something stands, and how a misspelt name is spelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The nearest of ``names`` to ``name``, if one is near, and all that there are."""
    import difflib

    names = list(names)
    # Two letters of which one is wrong, "Ir" for "lr", are alike by half.
    nearest = [f"did you mean {match!r}? " for match in difflib.get_close_matches(name, names, n=1, cutoff=0.5)]
    return "".join(nearest) + f"There are: {', '.join(names) or 'none'}"


@contextmanager
def within(path: str) -> Iterator[None]:
    """Let errors about a field tell where it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}{error}") from error
