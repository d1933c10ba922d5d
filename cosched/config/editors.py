"""What editors need to help with configs: a JSON Schema, made of the fields, their types and their docstrings."""

from __future__ import annotations

import itertools
import json
import pkgutil
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from cosched.config.build import HYDRAS
from cosched.config.schemas import Binding, schema
from cosched.schedules import registry
from cosched.schedules.docstrings import meanings, sections
from cosched.schedules.durations import FORM, Duration

Node = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
GROUPS = {"scheduler": "cosched/schema", "phase": "cosched/phase"}  # where the kinds of nodes stand for Hydra
LATER = r"\$\{|^\?\?\?$"  # of text that stands for a value
SCALARS: dict[Any, Node] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    type(None): {"type": "null"},
}


def add_schema(commands: Any) -> None:
    """``cosched schema [app|scheduler]``: prints the JSON Schema, for editors."""
    parser = commands.add_parser(
        "schema",
        help="print a JSON Schema, with which editors complete and check configs",
        description="Print the JSON Schema of an app's config, or of the files in its group `scheduler`, with the "
        "shapes of all installed packages. Editors take it from a file's first line: "
        "# yaml-language-server: $schema=FILE",
    )
    parser.add_argument("kind", nargs="?", choices=("app", "scheduler"), default="app", help="of what, by default app")
    parser.set_defaults(run=lambda given: print(text(app=given.kind == "app")))


def text(app: bool = True) -> str:
    """The JSON Schema as the file that editors read."""
    return json.dumps(json_schema(app), indent=1)


def json_schema(app: bool = True) -> Node:
    """A JSON Schema, draft 2020-12, of an app's config with a node ``scheduler``, or of a file in that group.

    A node is checked by its shape, which its ``_target_`` or ``shape`` names, or a defaults list chooses, that of the
    file or that of the app; else its fields are those of any shape. Files may be partial, so no field is required, and
    what is not a scheduler is not looked at.
    """
    names = registry.names()
    defs: Node = {"later": {"description": "an interpolation, or ???", "type": "string", "pattern": LATER}}
    for kind, group in GROUPS.items():
        for name in names:
            defs[f"{kind}.{name}"] = _shared(_node(schema(group, name)), defs)
        defs[kind] = _any(kind, {name: defs[f"{kind}.{name}"]["properties"] for name in names})
    defs["app"] = {
        "type": "object",
        "properties": {"scheduler": _ref("scheduler")},
        "allOf": [
            {"if": _listed(_has(scheduler=name)), "then": {"properties": {"scheduler": _ref(f"scheduler.{name}")}}}
            for name in names
        ],
    }
    return {"$schema": DIALECT, "title": "cosched", **_ref("app" if app else "scheduler"), "$defs": defs}


def described(kind: Any) -> Iterator[tuple[Field[Any], Any, str]]:
    """Each field of a typed config that a user may set, its type, and what it means."""
    said = meanings(kind)
    if issubclass(kind, Binding):
        said |= meanings(pkgutil.resolve_name("cosched.BoundScheduler"))  # where it is said for Python
    hints = get_type_hints(kind)
    for one in fields(kind):
        if not one.name.startswith("_"):
            yield one, hints[one.name], " ".join(said.get(one.name, "").replace("``", "`").split())


def _ref(name: str) -> Node:
    return {"$ref": f"#/$defs/{name}"}


def _has(**constants: Any) -> Node:
    """An object in which these keys have these values."""
    return {
        "type": "object",
        "required": list(constants),
        "properties": {key: {"const": value} for key, value in constants.items()},
    }


def _listed(item: Node) -> Node:
    """An object in whose defaults list there is such an item."""
    return {"type": "object", "required": ["defaults"], "properties": {"defaults": {"contains": item}}}


def _node(kind: Any) -> Node:
    """A scheduler or a phase of one shape."""
    shape = next(one for one in kind.__mro__ if one in registry.registered().values())
    properties: Node = {key: {} for key in ("defaults", *HYDRAS)}
    least = kind._least if isinstance(kind._least, Mapping) else {}  # else it depends on the values of the fields
    properties["_target_"] = {"const": kind.__dataclass_fields__["_target_"].default}
    for one, hint, meaning in described(kind):
        properties[one.name] = {"description": meaning, **_type(hint, least.get(one.name))}
        if one.default is not MISSING:
            properties[one.name]["default"] = one.default.name if isinstance(one.default, Enum) else one.default
    summary = " ".join(sections(shape)[""].partition("\n\n")[0].replace("``", "`").split())
    return {"type": "object", "description": summary, "properties": properties, "additionalProperties": False}


def _shared(node: Node, defs: Node) -> Node:
    """The node with its fields in ``defs``, once each, for most shapes have the same."""
    for key, one in node["properties"].items():
        if "description" in one:
            names = (f"field.{key}{i or ''}" for i in itertools.count())
            name = next(name for name in names if defs.setdefault(name, one) == one)
            node["properties"][key] = _ref(name)
    return node


def _any(kind: str, shapes: dict[str, Node]) -> Node:
    """A scheduler, or a phase, of the shape that it names; else with fields of any; or several schedulers."""
    ways: dict[str, list[Node]] = {}
    rules = []
    for name, properties in shapes.items():
        for key, one in properties.items():
            known = ways.setdefault(key, [])
            if one not in known:
                known.append(one)
        named = _has(shape=name) if "shape" in properties else _has(_target_=properties["_target_"]["const"])
        chosen = {"anyOf": [named, _listed({"const": f"/{GROUPS[kind]}/{name}@_here_"})]}
        rules.append({"if": chosen, "then": _ref(f"{kind}.{name}")})
    several = kind == "scheduler"
    return {
        "type": ["object", "null", "array", "string"] if several else ["object", "string"],
        "pattern": LATER,
        "properties": {key: one[0] if len(one) == 1 else {"anyOf": one} for key, one in ways.items()},
        "additionalProperties": {"type": ["object", "null", "array", "string"], **_ref(kind)} if several else False,
        "items": _ref(kind),
        "allOf": rules,
    }


def _type(hint: Any, least: int | None) -> Node:
    """What a field of a type may hold; where it is one thing it may be an interpolation, too."""
    kinds = set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
    if kinds >= (duration := set(get_args(Duration))):
        kinds -= duration
        whole = {"type": "integer", "minimum": least or 0}
        ways = [whole, {"type": "string", "pattern": rf"^(?!-){FORM.pattern}$"}]
    else:
        ways = []
    for one in sorted(kinds, key=str):
        if isinstance(one, type) and issubclass(one, Enum):
            ways.append({"enum": [member.name for member in one]})
        elif one in SCALARS:
            ways.append(SCALARS[one] if least is None or one is not int else {**SCALARS[one], "minimum": least})
        elif get_origin(one) is list:
            ways.append({"type": "array"})
        elif get_origin(one) is dict:
            ways.append({"type": "object", "additionalProperties": _ref("phase")})
        else:
            return {"if": {"type": "object"}, "then": _ref("phase")}
    return {"anyOf": [*ways, _ref("later")]}
