"""What Sphinx needs to know of the site: directives for what is made of the package, formulas, docstrings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))
import cards
import tables

MAKERS: dict[str, Callable[[str], str]] = {
    "overview": cards.overview,
    "gallery": cards.gallery,
    "config": tables.config,
    "command": tables.command,
    "python": tables.python,
}


class Generated(SphinxDirective):
    """``{generated} gallery shapes``: what one of the functions above makes of its argument."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """The nodes."""
        maker, what = self.arguments
        return self.parse_text_to_nodes(MAKERS[maker](what), allow_section_headings=True)


def _mathml(display: str) -> Callable[[Any, Any], None]:
    def visit(self: Any, node: Any) -> None:
        self.body.append(latex2mathml.converter.convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit


def _shorten(app: Any, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
    """Show of a class what is its own, and link names that stand in single backticks."""
    if what == "class":
        lines[:] = tables.brief(one).splitlines()
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<![`:\w])`([A-Za-z_.]+)`(?!`)", r":py:obj:`\1`", line)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("generated", Generated)
    app.add_html_math_renderer("mathml", (_mathml("inline"), None), (_mathml("block"), None))
    app.connect("config-inited", lambda app, _: cards.draw(Path(app.srcdir) / "_generated"), priority=100)
    app.connect("autodoc-process-docstring", _shorten, priority=100)  # before napoleon
    return {"parallel_read_safe": True}
