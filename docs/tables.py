"""The reference: tables of fields, of options, of the main job's config; the commands' help; the public names.

All of it is made of declarations, docstrings and comments, so that a field is described in one place.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import cards
import yaml

import cosched
from cosched.config.editors import described
from cosched.config.schemas import OTHERS, Binding
from cosched.schedules import registry
from cosched.schedules.docstrings import meanings, sections
from cosched.schedules.durations import Duration
from cosched.schedules.phase import Phase, phase
from cosched.sweeps.command import COMMANDS

CONF = Path(str(cosched.__file__)).parent / "digits" / "conf"
Row = tuple[Field[Any], Any, str]  # a field, its type, what it means


def rows(lines: Iterable[tuple[str, ...]], *head: str) -> str:
    """A table in Markdown."""
    cells = [head, ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)


def default(one: Field[Any]) -> str:
    """A field's default as YAML has it; nothing where it has none."""
    if one.default is MISSING:
        return "" if one.default_factory is MISSING else "{}"
    return one.default.name if isinstance(one.default, Enum) else json.dumps(one.default).strip('"')


def table(described_fields: Iterable[Row]) -> str:
    """Fields with their types, defaults and meanings, in the words of YAML: a docstring's None is its ``null``."""
    lines = (
        (f"`{f.name}`", typed(hint), f"`{default(f)}`" if default(f) else "required", said.replace("None", "null"))
        for f, hint, said in described_fields
    )
    return rows(lines, "field", "type", "default", "meaning")


def typed(hint: Any) -> str:
    """A type, in the words of a config's author."""
    several = {Any: "any", float: "number", int: "integer", bool: "`true`, `false`", str: "text", type(None): "`null`"}
    kinds = list(get_args(hint)) if get_args(hint) and not hasattr(hint, "__origin__") else [hint]
    said = []
    if {*kinds} >= {*get_args(Duration)}:
        kinds = [one for one in kinds if one not in get_args(Duration)]
        said.append("[duration](config.md#durations)")
    for one in kinds:
        if isinstance(one, type) and issubclass(one, Enum):
            said.append(", ".join(f"`{member.name}`" for member in one))
        else:
            origin = getattr(one, "__origin__", None)
            said.append({list: "list", dict: "[schedules](config.md#phases) by name"}.get(origin) or several[one])
    return ", ".join(said)


def own(kind: Any) -> list[Row]:
    """The fields of a shape that not every cyclical shape has."""
    shared = {f.name for f in fields(cosched.CyclicalSchedule)} if issubclass(kind, cosched.CyclicalSchedule) else set()
    return [row for row in described(kind) if row[0].name not in shared]


def shape_fields() -> str:
    """A section for each shape: its own fields."""
    parts = []
    for name in registry.names():
        shape: Any = registry.shape(name)
        summary = cards.markdown(sections(shape)[""].partition("\n\n")[0])
        cyclical = issubclass(shape, cosched.CyclicalSchedule)
        shared = "and [those of every cyclical shape](#cyclical-shapes)" if cyclical else ""
        fields_ = table(own(shape)) if own(shape) else ""
        more = (
            f"It has these fields, {shared}:"
            if fields_ and shared
            else f"Its fields are {shared[4:]}."
            if shared
            else ""
        )
        seen = f"{summary} [In the gallery.](../gallery.md#{name})"
        parts.append("\n\n".join(filter(None, (f"### {name}", seen, more, fields_))))
    return "\n\n".join(parts)


def phase_fields() -> str:
    """What a shape has besides, or otherwise, as a phase."""
    cyclical = phase(cosched.CosineAnnealing)
    changed = {f.name: f.default for f in fields(cosched.CosineAnnealing)}
    return table(
        row
        for row in described(cyclical)
        if row[0].name in meanings(Phase) or row[0].default != changed.get(row[0].name, MISSING)
    )


def options() -> str:
    """The presets, each in a sentence."""
    lines = ((f"[`{name}`](../gallery.md#{name})", cards.summary(name)) for name in cards.presets())
    return rows(lines, "option", "what it is")


def other(name: str) -> str:
    """The fields of another option than a scheduler."""
    kind = OTHERS[name]
    said = cards.markdown("\n\n".join(sections(kind)[""].split("\n\n")[1:]))
    return f"{said}\n\n{table(row for row in described(kind) if row[0].name != 'defaults')}"


def callback() -> str:
    """What the option for Lightning callbacks sets."""
    file = Path(str(cosched.__file__)).parent / "conf/callbacks/cosched.yaml"
    said = meanings(cosched.ScheduleCallback)
    given = {key: value for key, value in yaml.safe_load(file.read_text())["cosched"].items() if key in said}
    lines = ((f"`{key}`", f"`{json.dumps(value)}`", _line(said[key])) for key, value in given.items())
    return rows(lines, "key", "value", "meaning")


def config(what: str) -> str:
    """A part of the reference of configs."""
    parts: dict[str, Callable[[], str]] = {
        "binding": lambda: table(described(Binding)),
        "cyclical": lambda: table(described(cosched.CyclicalSchedule)),
        "shapes": shape_fields,
        "phase": phase_fields,
        "presets": options,
        "callback": callback,
        "preview": lambda: other("preview"),
        "report": lambda: other("report"),
    }
    return parts[what]()


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def job() -> str:
    """The main job's config: its keys with the types of the settings and the comments of the file."""
    import cosched.digits.settings as settings

    hints: dict[str, Any] = {}

    def note(kind: Any, path: str) -> None:
        for key, hint in get_type_hints(kind).items():
            hints[f"{path}{key}"] = hint
            if is_dataclass(hint):
                note(hint, f"{path}{key}.")

    note(settings.Settings, "")
    lines = [
        (f"`{key}`", typed(hints.get(key, Any)), f"`{value}`", comment)
        for key, value, comment in _commented((CONF / "config.yaml").read_text(encoding="utf-8"))
        if not key.startswith(("hydra", "defaults"))
    ]
    return rows(lines, "key", "type", "default", "meaning")


def _commented(text: str) -> Iterator[tuple[str, str, str]]:
    """The leaves of a YAML file: key, value, and the comment beside or above it."""
    path: list[str] = []
    above: list[str] = []
    for line in text.splitlines():
        match = re.match(r"( *)([\w]+):(?: +(.*?))?(?: +# (.*))?$", line)
        if match is None:
            above = [*above, line.strip("# ")] if line.lstrip().startswith("#") else []
            continue
        indent, key, value, beside = match.groups()
        path = [*path[: len(indent) // 2], key]
        if value and not value.startswith("#"):
            yield ".".join(path), value, " ".join(filter(None, (*above, beside)))
        above = []


def groups() -> str:
    """The main job's own options."""
    lines = [
        (f"`{file.parent.relative_to(CONF)}={file.stem}`", f"`{_first(file)}`")
        for file in sorted(CONF.glob("*/*.yaml"))
        if file.parent.name != "hydra"
    ]
    return rows(lines, "option", "what it is")


def _first(file: Path) -> str:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return str(content.get("_target_") or content["defaults"][0])


def commands() -> str:
    """What ``cosched COMMAND --help`` says, of each."""
    parser = argparse.ArgumentParser("cosched", formatter_class=lambda prog: argparse.HelpFormatter(prog, width=88))
    found = parser.add_subparsers()
    for add in COMMANDS:
        add(found)
    parts = []
    for name, one in found.choices.items():
        one.formatter_class = parser.formatter_class
        parts.append(f"### cosched {name}\n\n```text\n{one.format_help().strip()}\n```")
    return "\n\n".join(parts)


def command(what: str) -> str:
    """A part of the reference of commands."""
    return {"job": job, "groups": groups, "commands": commands}[what]()


KINDS: dict[str, Callable[[Any], bool]] = {
    "schedules": lambda one: inspect.isclass(one) and issubclass(one, cosched.Schedule),
    "schedulers": lambda one: inspect.isclass(one) and issubclass(one, cosched.BoundScheduler),
    "functions": inspect.isroutine,
    "classes": inspect.isclass,
    "aliases": lambda one: True,
}


def names(what: str) -> list[str]:
    """The public names of a kind, those of an earlier kind excepted."""
    kind_of = {
        name: next(kind for kind, fits in KINDS.items() if fits(getattr(cosched, name))) for name in cosched.__all__
    }
    return [name for name, kind in kind_of.items() if kind == what]


def python(what: str) -> str:
    """Directives for the public names of a kind."""
    if what == "aliases":
        entries = [_alias(name) for name in names(what)]
    elif what == "functions":
        entries = [f".. autofunction:: cosched.{name}" for name in names(what)]
    else:
        entries = [f".. autoclass:: cosched.{name}\n   :members:" for name in names(what)]
    return "```{eval-rst}\n" + "\n\n".join(entries) + "\n```"


def _alias(name: str) -> str:
    """A type's name, with what its line says."""
    stub = Path(str(cosched.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    [home] = re.findall(rf"^from (\S+) import {name} as", stub, flags=re.MULTILINE)
    source = inspect.getsource(importlib.import_module(home))
    [(value, said)] = re.findall(rf"^{name} = ([^#\n]+?)(?:  # (.*))?$", source, flags=re.MULTILINE)
    return f".. py:data:: cosched.{name}\n   :value: {value}\n\n   {said}"


def brief(one: Any) -> str:
    """A class's docstring without what it says of fields that one of its bases describes, too."""
    bases = [base for base in one.__mro__[1:] if base.__name__ in cosched.__all__]
    parts = dict(sections(one))
    if one.__name__.endswith("Scheduler") and hasattr(cosched, shape := one.__name__.removesuffix("Scheduler")):
        bases.append(getattr(cosched, shape))
        parts[""] = parts[""].partition("\n\n")[0]
    heading = "Attributes" if "Attributes" in parts else "Args"
    said = meanings(one)
    from_base = {base: set(meanings(base)) & said.keys() for base in bases}
    kept = {key: text for key, text in said.items() if not any(key in known for known in from_base.values())}
    told = [base for base in bases if from_base[base] and not any(from_base[base] < from_base[b] for b in bases)]
    if not told:
        return inspect.cleandoc(one.__doc__ or "")
    parts.pop(heading, None)
    intro = [
        parts.pop("", ""),
        "For its other fields see " + " and ".join(f"`cosched.{b.__name__}`" for b in told) + ".",
    ]
    if kept:
        parts = {heading: "\n".join(f"{key}: {text}" for key, text in kept.items()), **parts}
    blocks = [f"{key}:\n" + "\n".join(f"    {line}" for line in text.splitlines()) for key, text in parts.items()]
    return "\n\n".join(filter(None, [*intro, *blocks]))
