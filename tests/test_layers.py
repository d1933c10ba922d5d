"""What each folder may import, how long a module may be, read from the source of every module that there is."""

import ast
from collections.abc import Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import ROOT

import cosched

# By folder, where its modules may import from; a folder that is not here may not be.
HOUSE = {
    "schedules": ["schedules"],
    "config": ["schedules", "config"],
    "binding": ["schedules", "config", "binding"],
    "loops": ["schedules", "config", "binding", "loops"],
    "sweeps": ["schedules", "config", "binding.domains", "binding.checkpoint", "sweeps"],
    "conf": [],
    "digits": ["digits"],  # and names of `cosched` itself
}
PLUGIN = "hydra_plugins"  # may import what starts without torch
HEAVY = {"torch", "ignite"}
LOADED, CALLED, TYPES = "as the module loads", "inside a function", "for types only"
LONGEST = 400


class Import(NamedTuple):
    """An import, of a module or of a name in one."""

    written: str  # the module that the line names
    target: str  # the one that is loaded: a module in that package, or the home of a name of `cosched`
    when: str


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


class Source:
    """All modules of ours under ``root``, and what they import."""

    def __init__(self, root: Path) -> None:
        paths = sorted(path for folder in ("cosched", PLUGIN) for path in (root / folder).rglob("*.py*"))
        self.paths = [path for path in paths if path.suffix in (".py", ".pyi")]
        self.modules = {self.name(path.relative_to(root)): path for path in self.paths if path.suffix == ".py"}
        stub = root / "cosched/__init__.pyi"
        named = [n for n in ast.parse(stub.read_text("utf-8")).body if isinstance(n, ast.ImportFrom)]
        self.homes = {alias.name: str(node.module) for node in named for alias in node.names}

    @staticmethod
    def name(path: Path) -> str:
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def imports(self) -> dict[str, list[Import]]:
        return {module: list(self.read(module, path)) for module, path in self.modules.items()}

    def read(self, module: str, path: Path) -> Iterator[Import]:
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        for node, when in statements(ast.parse(path.read_text("utf-8")), LOADED):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, alias.name, when) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                written = resolve_name("." * node.level + (node.module or ""), package)
                yield from (Import(written, self.target(written, alias.name), when) for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cosched":
                yield Import("cosched", self.target("cosched", node.attr), when)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                given = node.args[0]
                if isinstance(given, ast.Constant):
                    yield Import(str(given.value), str(given.value), when)

    def target(self, written: str, name: str) -> str:
        if f"{written}.{name}" in self.modules:
            return f"{written}.{name}"
        return self.homes.get(name, written) if written == "cosched" else written

    def chains(self, starts: list[str], kinds: set[str]) -> Iterator[list[str]]:
        """How each module, of ours or not, that ``starts`` lead to by imports of these kinds is reached."""
        found = {start: [start] for start in self.modules if any(within(start, one) for one in starts)}
        ahead = list(found)
        for module in ahead:
            yield found[module]
            targets = [one.target for one in self.imports.get(module, []) if one.when in kinds]
            for target in [part for one in (module, *targets) for part in packages(one)]:
                if target not in found:
                    found[target] = [*found[module], target]
                    ahead.append(target)


def statements(node: ast.AST, when: str) -> Iterator[tuple[ast.AST, str]]:
    """All that is in ``node``, and when it is done."""
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        types = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        kind = TYPES if types or when == TYPES else CALLED if inside else when
        yield child, kind
        yield from statements(child, kind)


def packages(module: str) -> list[str]:
    """A module and the packages that it is in, which load with it."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


# The rules: each gives what breaks it


def imports_upwards(source: Source) -> list[str]:
    found = [f"cosched names {name} of {home}" for name, home in source.homes.items() if within(home, "cosched.digits")]
    for module, imports in source.imports.items():
        if module == "cosched" or within(module, PLUGIN):
            may = [folder for folder in HOUSE if folder != "digits"]
        elif (folder := module.split(".")[1]) in HOUSE:
            may = HOUSE[folder]
        else:
            found.append(f"{module} is in a folder that has no place in the house")
            continue
        for one in imports:
            public = one.target == "cosched" or (one.written == "cosched" and within(module, "cosched.digits"))
            allowed = public or any(within(one.target, f"cosched.{name}") for name in may)
            if within(one.target, "cosched") and not allowed:
                found.append(f"{module} imports {one.target} {one.when}")
    return found


def circles(source: Source) -> list[str]:
    graph = {m: {i.target for i in found if i.when != TYPES} - {m} for m, found in source.imports.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def torch_below_binding(source: Source) -> list[str]:
    starts = ["cosched.schedules", "cosched.config", "cosched.sweeps", PLUGIN]
    return [" > ".join(chain) for chain in source.chains(starts, {LOADED, CALLED}) if chain[-1] in HEAVY]


def numpy_at_a_start(source: Source) -> list[str]:
    starts = ["cosched.schedules", "cosched.config", PLUGIN]
    return [" > ".join(chain) for chain in source.chains(starts, {LOADED}) if chain[-1] in HEAVY | {"numpy"}]


def long_modules(source: Source) -> list[str]:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in source.paths}
    return [f"{path.name} has {lines} lines" for path, lines in lengths.items() if lines > LONGEST]


RULES = [imports_upwards, circles, torch_below_binding, numpy_at_a_start, long_modules]


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_to(rule):
    assert rule(Source(ROOT)) == []


def test_the_names_of_the_stub_are_those_that_are_found():
    assert cosched._homes() == Source(ROOT).homes


# That each rule bites

SOUND = {
    "cosched/__init__.py": "from importlib import import_module\n",
    "cosched/__init__.pyi": "from cosched.loops.engine import attach as attach\n",
    "cosched/schedules/__init__.py": "from cosched.schedules import shapes\n",
    "cosched/schedules/shapes.py": "def values():\n    import numpy\n",
    "cosched/config/schemas.py": "from cosched.schedules.shapes import values\n",
    "cosched/binding/__init__.py": "",
    "cosched/binding/domains.py": "import numpy\nfrom cosched.config import schemas\n",
    "cosched/binding/target.py": "import torch\nfrom . import domains\n",
    "cosched/loops/engine.py": "import ignite\nfrom cosched.binding.target import Target\n",
    "cosched/sweeps/curves.py": "from cosched.binding.domains import check\n",
    "cosched/digits/__init__.py": "",
    "cosched/digits/training.py": "import torch\nfrom cosched import attach\nfrom cosched.digits import model\n",
    "cosched/digits/model.py": "",
    "hydra_plugins/ours/plugin.py": "def curves():\n    from cosched.sweeps import curves\n",
}


def source(folder, **changes):
    for path, text in {**SOUND, **changes}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return Source(folder)


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_house_keeps_to(rule, tmp_path):
    assert rule(source(tmp_path)) == []


INSIDE = "def late():\n    "
CHECKED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("rule", "path", "text", "complaint"),
    [
        (
            imports_upwards,
            "schedules/a.py",
            "import cosched.config.schemas",
            "cosched.schedules.a imports cosched.config",
        ),
        (
            imports_upwards,
            "schedules/a.py",
            "from ..config import schemas",
            "cosched.schedules.a imports cosched.config",
        ),
        (imports_upwards, "schedules/a.py", "from cosched import attach", "cosched.schedules.a imports cosched.loops"),
        (imports_upwards, "config/a.py", "import cosched\ncosched.attach", "cosched.config.a imports cosched.loops"),
        (imports_upwards, "config/a.py", f"{INSIDE}import cosched.binding", "cosched.binding inside a function"),
        (imports_upwards, "config/a.py", f"{CHECKED}import cosched.binding", "cosched.binding for types only"),
        (
            imports_upwards,
            "binding/a.py",
            "from cosched.loops import engine",
            "cosched.binding.a imports cosched.loops",
        ),
        (imports_upwards, "sweeps/a.py", "import cosched.binding.target", "cosched.sweeps.a imports cosched.binding.t"),
        (imports_upwards, "loops/a.py", "import cosched.sweeps.curves", "cosched.loops.a imports cosched.sweeps"),
        (
            imports_upwards,
            "digits/a.py",
            "from cosched.config import schemas",
            "cosched.digits.a imports cosched.config",
        ),
        (imports_upwards, "loops/a.py", "from cosched import digits", "cosched.loops.a imports cosched"),
        (imports_upwards, "__init__.py", "import cosched.digits.model", "cosched imports cosched.digits.model"),
        (
            imports_upwards,
            "__init__.pyi",
            "from cosched.digits.model import X",
            "cosched names X of cosched.digits.model",
        ),
        (imports_upwards, "new/a.py", "", "cosched.new.a is in a folder that has no place"),
        (circles, "binding/domains.py", "from cosched.binding import target", "cosched.binding.domains imports"),
        (circles, "config/schemas.py", f"{INSIDE}from cosched.binding import domains", "cosched.config.schemas"),
        (torch_below_binding, "schedules/a.py", "import torch.nn", "cosched.schedules.a > torch"),
        (torch_below_binding, "config/a.py", f"{INSIDE}from ignite.engine import Engine", "cosched.config.a > ignite"),
        (
            torch_below_binding,
            "config/a.py",
            "from cosched import attach",
            "a > cosched.loops.engine > ignite",
        ),
        (torch_below_binding, "config/a.py", 'import importlib\nimportlib.import_module("torch")', "a > torch"),
        (torch_below_binding, "binding/__init__.py", "import torch", "cosched.binding > torch"),
        (numpy_at_a_start, "schedules/a.py", "class A:\n    import numpy as np", "cosched.schedules.a > numpy"),
        (numpy_at_a_start, "schedules/a.py", "from numpy.typing import NDArray", "cosched.schedules.a > numpy"),
        (numpy_at_a_start, "config/a.py", "from cosched.binding import domains", "cosched.binding.domains > numpy"),
        (numpy_at_a_start, "__init__.py", "import numpy", "cosched > numpy"),
        (long_modules, "digits/a.py", "\n" * 401, "a.py has 401 lines"),
    ],
)
def test_what_breaks_a_rule_is_told(rule, path, text, complaint, tmp_path):
    assert complaint in "\n".join(rule(source(tmp_path, **{f"cosched/{path}": text})))


def test_a_plugin_may_not_lead_to_torch(tmp_path):
    changes = {"hydra_plugins/ours/plugin.py": f"{INSIDE}from cosched.loops import engine"}
    assert any(chain.startswith(PLUGIN) for chain in torch_below_binding(source(tmp_path, **changes)))


@pytest.mark.parametrize("rule", [torch_below_binding, numpy_at_a_start])
def test_what_is_imported_for_types_only_does_not_load(rule, tmp_path):
    text = f"{CHECKED}import torch, numpy"
    assert rule(source(tmp_path, **{"cosched/schedules/a.py": text})) == []
