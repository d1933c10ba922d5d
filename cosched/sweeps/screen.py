"""Tables on the terminal, with rich (extra ``plot``): every cell is text, no markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosched.sweeps.text import plain

WIDTH = 180  # where the output goes to a file or a pipe


class Screen:
    """The table that is being filled, and where it will be shown."""

    def __init__(self, title: str) -> None:
        self.console = Console()
        if not self.console.is_terminal and not os.environ.get("COLUMNS"):
            self.console = Console(width=WIDTH)
        lines = box.HEAVY_HEAD if self.wide else box.SIMPLE
        self.table = Table(title=title, title_justify="left", header_style="bold", box=lines, pad_edge=self.wide)

    def columns(self, *names: str, whole: Sequence[str] = (), numbers: Sequence[str] = ()) -> None:
        """Add columns; those that are ``whole``, or of ``numbers``, are not broken into lines."""
        for name in names:
            side: Literal["left", "right"] = "right" if name in numbers else "left"
            self.table.add_column(name, justify=side, no_wrap=name in (*whole, *numbers), overflow="fold")

    @property
    def wide(self) -> bool:
        """Whether there is room for more than what is needed."""
        return self.console.width >= 140

    def row(self, *cells: str | Sequence[str], style: str | None = None) -> None:
        """Add a row of cells, a text or several lines; none is taken for markup or obeyed by the terminal."""
        lines = ([cell] if isinstance(cell, str) else cell for cell in cells)
        self.table.add_row(*(Text("\n".join(map(plain, filter(None, cell)))) for cell in lines), style=style)

    def show(self) -> None:
        """Print the table; what the output's encoding lacks becomes a question mark."""
        with self.console.capture() as captured:
            self.console.print(self.table)
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(captured.get().encode(encoding, "replace").decode(encoding), end="")
