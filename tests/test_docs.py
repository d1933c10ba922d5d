"""The site's pages, read as a reader would, and what the site is made of.

A page is read from top to bottom, in one folder and with one set of Python names. A block whose first line is a comment
with a file name is that file from there on. Other ``yaml`` is a fragment: it must satisfy the JSON Schema for editors,
and what begins with a defaults list is composed, and its schedules are made. ``python`` is executed. ``pycon`` is a
doctest. ``console`` has one command per line, which is run, and has to fail where its comment begins with ``refused``.
``toml`` and ``json`` are parsed. ``text`` directly after a console or Python block is what it prints, with ``...`` for
anything. Other ``text`` is what cannot be run here, and the page says so. ``python tests/test_docs.py`` counts them.
"""

import re
from collections import Counter

import pytest
from helpers import ROOT
from pages_helpers import LANGUAGES, Reader, blocks

from cosched.schedules import registry

DOCS = ROOT / "docs"
ELSEWHERE = {"migration"}  # tests/test_migration.py
PAGES = {
    name: path.read_text(encoding="utf-8")
    for path in [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("guides/*.md")), *sorted(DOCS.glob("reference/*.md"))]
    if (name := path.relative_to(DOCS).with_suffix("").as_posix()) not in ELSEWHERE
}
LOOPS = re.compile(r"^\s*(import|from) (lightning|accelerate|transformers)\b", re.MULTILINE)  # extras


def _marks(text):
    """Commands take seconds each, and some loops need an extra."""
    slow = any(one.commands for one in blocks(text))
    if LOOPS.search(text):  # the other libraries warn of their own futures
        return [pytest.mark.loops, pytest.mark.filterwarnings("ignore")]
    return [pytest.mark.slow] if slow else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(text)) for name, text in PAGES.items()])
def test_a_page_can_be_followed(name, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_shapes", registry.registered())  # forgets those of the page
    Reader(tmp_path, PAGES[name]).read()


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_has_a_language_that_says_how_it_is_run(name):
    assert {one.language for one in blocks(PAGES[name])} <= {*LANGUAGES}


def counted() -> dict[str, Counter]:
    """By page, how many blocks of each language, commands and files it has."""
    found = {}
    for name, text in PAGES.items():
        several = blocks(text)
        found[name] = Counter("files" if one.file else one.language for one in several)
        found[name]["commands"] = sum(len(one.commands) for one in several)
        found[name]["outputs"] = sum(one.printed is not None for one in several)
    return found


if __name__ == "__main__":
    whole = Counter()
    for page, counts in counted().items():
        print(f"{page}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()) if count) or 'prose'}")
        whole += counts
    print(f"all: {', '.join(f'{count} {what}' for what, count in sorted(whole.items()))}")
