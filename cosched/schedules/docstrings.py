"""What docstrings say of fields, so that it is written once and ``help`` shows it wherever a field is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import cleandoc
from textwrap import dedent, indent
from typing import Any

_HEADING = re.compile(r"^([A-Z]\w*):\n(?= )", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+): (.*(?:\n .*)*)", re.MULTILINE)


def sections(documented: Any) -> dict[str, str]:
    """The sections of the docstring of a class or function by heading, `Args` for instance; "" is what comes first."""
    intro, *others = _HEADING.split(cleandoc(documented.__doc__ or ""))
    texts = (dedent(text).strip() for text in others[1::2])
    return {"": intro.strip(), **dict(zip(others[::2], texts, strict=True))}


def meanings(documented: Any) -> dict[str, str]:
    """What the docstring of a class or function says of each of its fields or arguments."""
    found = sections(documented)
    return dict(_ENTRY.findall(found.get("Attributes") or found.get("Args", "")))


def compose(heading: str, fields: Mapping[str, str], others: Mapping[str, str]) -> str:
    """A docstring of what each of the fields means, under ``heading``, and of the other sections."""
    entries = "\n".join(f"{name}: {meaning}" for name, meaning in fields.items())
    parts = {"": others.get("", ""), heading: entries} | {key: text for key, text in others.items() if key != heading}
    return "\n\n".join(f"{key}:\n{indent(text, ' ' * 4)}" if key else text for key, text in parts.items() if text)


def inherit(cls: type[Any]) -> None:
    """Add to the docstring of a class what those of its bases say of their fields."""
    known = {name: meaning for base in reversed(cls.__mro__) for name, meaning in meanings(base).items()}
    if known.keys() - meanings(cls):
        cls.__doc__ = compose("Attributes", known, sections(cls))
