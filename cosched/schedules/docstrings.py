"""What docstrings say of fields, so that it is written once and ``help`` shows it wherever a field is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import cleandoc
from textwrap import dedent, indent
from typing import Any

_HEADING = re.compile(r"^(Args|Attributes|Raises):\n", re.MULTILINE)
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


def compose(intro: str, heading: str, fields: Mapping[str, str], raises: str | None = None) -> str:
    """A docstring: an introduction, what each of the fields means, what is raised."""
    entries = "\n".join(f"{name}: {meaning}" for name, meaning in fields.items())
    parts = {heading: entries, "Raises": raises}
    return "\n\n".join([intro, *(f"{key}:\n{indent(text, ' ' * 4)}" for key, text in parts.items() if text)])


def inherit(cls: type[Any]) -> None:
    """Add to the docstring of a class what those of its bases say of their fields."""
    known = {name: meaning for base in reversed(cls.__mro__) for name, meaning in meanings(base).items()}
    if known.keys() - meanings(cls):
        own = sections(cls)
        cls.__doc__ = compose(own[""], "Attributes", known, own.get("Raises"))
