"""Text that others wrote, as text in every place: no control codes, no formulas; and what went wrong, in a line."""

from __future__ import annotations

import csv
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def plain(text: str) -> str:
    """``text`` with an escape sequence, ``\\x1b``, in place of each character that cannot be seen.

    A terminal obeys some of them, and lone surrogates, as from file names, cannot be written at all.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short(text: str, most: int = 16) -> str:
    """``text`` of so many letters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(text: str, most: int = 60) -> str:
    """``text`` for a picture: of so many letters at most, and with dollars that mean dollars."""
    return short(plain(text), most).replace("$", r"\$")


@lru_cache(1024)  # columns repeat
def for_csv(text: str) -> str:
    """``text`` as a cell that a spreadsheet does not take for a formula: then an apostrophe stands before it."""
    text = plain(text)
    if unicodedata.normalize("NFKC", text).lstrip()[:1] not in ("=", "+", "-", "@"):
        return text
    try:
        float(text)  # a negative number is no formula
    except ValueError:
        return f"'{text}"
    return text


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table; texts are made harmless, None is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(map(harmless, row) for row in rows)


def write_curves(path: Path, header: Sequence[str], curves: Iterable[tuple[Sequence[object], Any, Any]]) -> None:
    """Write a table with one row per event of each curve: the cells with which they all begin, the event, its value.

    It writes what `write_csv` would, which takes three times as long for as many rows as curves have.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for cells, events, values in curves:
            start = StringIO()
            csv.writer(start, lineterminator="").writerow(map(harmless, cells))
            pairs = zip(events.tolist(), values.tolist(), strict=True)
            file.writelines([f"{start.getvalue()},{event},{value}\r\n" for event, value in pairs])


def harmless(cell: object) -> object:
    """A cell for a table; a text is made harmless."""
    return for_csv(cell) if isinstance(cell, str) else cell


def message(error: BaseException) -> str:
    """The first line of what an error says."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply: write fewer levels"
    try:
        return plain((str(error).splitlines() or [""])[0])
    except Exception:  # an exception of the user's may fail to describe itself
        return ""


def told(error: BaseException) -> str:
    """An error in a line: its type, then what it says."""
    return f"{type(error).__name__}: {message(error)}"


def nobody_reads() -> None:
    """Print nothing more: whoever read it has ended, as ``head`` does after some lines, and wants no word of it."""
    with suppress(OSError, ValueError):  # where the output is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """Go on after an error, once it is logged: a full disk must not change a sweep's exit status."""
    try:
        yield
    except BrokenPipeError:
        nobody_reads()
    except Exception as error:
        log.error("%s failed: %s", what, told(error))
