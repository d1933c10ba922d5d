"""What docstrings say of fields, so that it is written once and ``help`` shows it wherever a field is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from inspect import cleandoc
from typing import Any

_HEADING = re.compile(r"^([A-Z]\w*):\n(?= )", re.MULTILINE)
_LINE = re.compile(r"^(?=.)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+): (.*(?:\n .*)*)", re.MULTILINE)


def sections(documented: Any) -> Mapping[str, str]:
    """The sections of the docstring of a class or function by heading, `Args` for instance; "" is what comes first."""
    return _split(documented.__doc__ or "")


@lru_cache(maxsize=256)
def _split(docstring: str) -> Mapping[str, str]:
    intro, *others = _HEADING.split(cleandoc(docstring))
    texts = (cleandoc(f"\n{text}") for text in others[1::2])
    return {"": intro.strip(), **dict(zip(others[::2], texts, strict=True))}


def meanings(documented: Any) -> dict[str, str]:
    """What the docstring of a class or function says of each of its fields or arguments."""
    found = sections(documented)
    return dict(_ENTRY.findall(found.get("Attributes") or found.get("Args", "")))


def compose(heading: str, fields: Mapping[str, str], others: Mapping[str, str]) -> str:
    """A docstring of what each of the fields means, under ``heading``, and of the other sections."""
    entries = "\n".join(f"{name}: {meaning}" for name, meaning in fields.items())
    parts = {"": others.get("", ""), heading: entries} | {key: text for key, text in others.items() if key != heading}
    return "\n\n".join(f"{key}:\n{_LINE.sub(' ' * 4, text)}" if key else text for key, text in parts.items() if text)


def inherit(cls: type[Any]) -> None:
    """Add to the docstring of a class what those of its bases say of their fields."""
    bases = (base for base in reversed(cls.__bases__) if base is not object)  # which have those of theirs already
    known = {name: meaning for one in (*bases, cls) for name, meaning in meanings(one).items()}
    if known.keys() - meanings(cls):
        cls.__doc__ = compose("Attributes", known, sections(cls))
