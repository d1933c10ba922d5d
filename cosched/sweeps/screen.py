"""What a sweep prints, with rich (extra ``plot``): a table where there is room for it, else one record per job.

No value is broken into lines: where a table is too wide, columns that can be missed go first. Remarks are footnotes.
Every cell is text, no markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cosched.sweeps.jobs import ranges
from cosched.sweeps.text import plain

WIDTH = 120  # where the output goes to a file or a pipe
MANY = 20  # more jobs are summed up
BARE = ("schedule", "curve", "parts", "notes", "run")  # what needs no name beside it

Cells = Mapping[str, str]


@dataclass(kw_only=True)
class Row:
    """A job, or several that are alike.

    Attributes:
        head: what is said of it, by column; empty cells are left out of a record.
        overrides: its overrides that tell it from the others, by what they are called.
        lines: what is said of each of its schedules, by column.
        style: the colour of its text.
    """

    head: Cells
    overrides: Cells = field(default_factory=dict)
    lines: Sequence[Cells] = ()
    style: str = ""


class Notes:
    """Footnotes: each text has a number, and the jobs that it is said of."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[int]] = {}

    def mark(self, texts: Iterable[str], job: int) -> str:
        """What stands where ``texts`` are said of a job: their numbers."""
        return self.marks([(texts, job)])

    def marks(self, said: Iterable[tuple[Iterable[str], int]]) -> str:
        """What stands where texts are said of several jobs, each with its own."""
        found = set()
        for texts, job in said:
            for text in dict.fromkeys(texts):
                self.jobs.setdefault(text, []).append(job)
                found.add(text)
        numbers = ranges(i for i, text in enumerate(self.jobs, 1) if text in found)
        return f"[{numbers}]".replace(" ", "") if numbers else ""


class Screen:
    """The rows that are gathered, and the terminal on which they are shown.

    Args:
        title: what stands above them.
        spare: the columns that can be missed, the least needed first.
        numbers: the columns of numbers.
    """

    def __init__(self, title: str, spare: Sequence[str] = (), numbers: Sequence[str] = ()) -> None:
        self.title, self.spare, self.numbers = title, spare, numbers
        self.console = Console(highlight=False)
        if not self.console.is_terminal and not os.environ.get("COLUMNS"):
            self.console = Console(width=WIDTH, highlight=False)
        self.rows: list[Row] = []
        self.notes = Notes()
        self.remarks: list[str] = []  # below the footnotes

    def show(self, whose: bool = False) -> None:
        """Print all; what the output's encoding lacks becomes a question mark. ``whose``: the jobs of each footnote."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        if "\u28ff".encode(encoding, "ignore") == b"":  # no braille: question marks would say nothing
            for row in self.rows:
                row.lines = [{**line, "curve": ""} for line in row.lines]
        with self.console.capture() as captured:
            self._line(self.title, "bold")
            if (table := self._table()) is not None:
                self.console.print(table)
            else:
                self._records()
            for i, (text, jobs) in enumerate(self.notes.jobs.items(), 1):
                if i > MANY:
                    self._line(f"… and {len(self.notes.jobs) - MANY} more notes")
                    break
                of = f" (job{'s' * (len(jobs) > 1)} {ranges(sorted(jobs))})" if whose else ""
                self._wrapped([f"[{i}]", *f"{text}{of}".split(" ")], "    ")
            for remark in self.remarks:
                self._wrapped(remark.split(" "), "")
        print(captured.get().encode(encoding, "replace").decode(encoding), end="")

    def _table(self) -> Table | None:
        """The table without as many of the ``spare`` columns as it takes; None: it is too wide all the same."""
        heads = list(dict.fromkeys(name for row in self.rows for name in row.head))
        keys = list(dict.fromkeys(name for row in self.rows for name in row.overrides))
        lines = list(dict.fromkeys(name for row in self.rows for line in row.lines for name in line))
        filled = {name for row in self.rows for cells in (row.head, *row.lines) for name, text in cells.items() if text}
        for left_out in range(len(self.spare) + 1):
            shown = filled - set(self.spare[:left_out])
            columns = [(name, "head") for name in heads if name in shown]
            at = 1 + max(
                (i for i, (name, _) in enumerate(columns) if name in ("rank", "job", "jobs", "count")), default=-1
            )
            columns[at:at] = [(name, "key") for name in keys]
            columns += [(name, "line") for name in lines if name in shown]
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
            for name, kind in columns:
                value = kind == "key" and all(_is_number(row.overrides.get(name, "")) for row in self.rows)
                side = "right" if name in self.numbers or value else "left"
                table.add_column(Text(plain(name)), justify=side, no_wrap=True)  # type: ignore[arg-type]
            for row in self.rows:
                said = [name for name, kind in columns if kind == "line"]
                filled_lines = [line for line in row.lines if any(map(line.get, said))]
                for i, line in enumerate(filled_lines or [{}]):
                    first = {"head": row.head, "key": row.overrides} if i == 0 else {}
                    cells = {**first, "line": line}
                    texts = (plain(cells.get(kind, {}).get(name, "")) for name, kind in columns)
                    table.add_row(*map(Text, texts), style=row.style)
            boundless = self.console.options.update(width=10_000)
            if Measurement.get(self.console, boundless, table).maximum <= self.console.width:
                return table
        return None

    def _records(self) -> None:
        room = self.console.width - 2
        widest = max((cell_len(plain(line.get("schedule", ""))) for row in self.rows for line in row.lines), default=0)
        for row in self.rows:
            self._line("")
            head = [text if name in BARE else f"{name} {text}" for name, text in row.head.items() if text]
            overrides = [f"{name}={text}" for name, text in row.overrides.items() if text]
            self._wrapped([*head[:1], *overrides, *head[1:]], "  ", row.style, "  ")
            for line in row.lines:
                names = [name for name, text in line.items() if text]
                cells = {name: text if name in BARE else f"{name} {text}" for name, text in line.items()}
                if {"schedule", "curve"} <= set(names):  # so that the curves can be compared
                    cells["schedule"] += " " * (widest - cell_len(plain(cells["schedule"])))
                for name in self.spare:
                    if sum(cell_len(cells[one]) + 2 for one in names) > room and name in names:
                        names.remove(name)
                self._wrapped([cells[name] for name in names], "  ", row.style, "  ", first="  ")
        self._line("")

    def _wrapped(self, words: Iterable[str], indent: str, style: str = "", gap: str = " ", first: str = "") -> None:
        """Words in as many lines as it takes, none of them broken unless it is longer than a line."""
        line = first
        for word in map(plain, words):
            between = "" if line in (first, indent) else gap
            if line.strip() and cell_len(line + between + word) > self.console.width:
                self._line(line, style)
                line, between = indent, ""
            line += between + word
        self._line(line, style)

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(plain(text), style=style), overflow="fold")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text
    return True
