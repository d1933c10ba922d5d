"""Parameter schedules for PyTorch experiments: declared in YAML, overridden and swept by Hydra, applied by ignite.

The public names and their homes stand in ``__init__.pyi``, where type checkers look for them too.
"""

import ast
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__version__ = "0.2.0"


def require(what: str, extra: str, *modules: str) -> None:
    """Say which extra ``what`` needs, where one of its ``modules`` is not installed.

    Raises:
        ModuleNotFoundError: it is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"{what} needs {', '.join(missing)}: pip install 'hydra-cosched[{extra}]', "
            f"or from a clone: pip install '.[{extra}]'"
        )


@cache
def _homes() -> dict[str, str]:
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): a plugin scan must not wait for torch, nor an app without us for our schedules."""
    if name == "__all__":
        return sorted(_homes())
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_homes()[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_homes()]
