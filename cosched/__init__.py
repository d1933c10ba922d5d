"""Parameter schedules for PyTorch experiments: declared in YAML, overridden and swept by Hydra, applied by ignite.

The public names and their homes stand in ``__init__.pyi``, where type checkers look for them too.
"""

from importlib import import_module

__version__ = "0.2.0"


def require(what: str, extra: str, *modules: str) -> None:
    """Say which extra ``what`` needs, where one of its ``modules`` is not installed.

    Raises:
        ModuleNotFoundError: it is missing.
    """
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"{what} needs {', '.join(missing)}: pip install 'hydra-cosched[{extra}]', "
            f"or from a clone: pip install '.[{extra}]'"
        )


def _homes() -> dict[str, str]:
    with open(f"{__path__[0]}/__init__.pyi", encoding="utf-8") as stub:  # noqa: PTH123  # a start needs no pathlib
        words = [line.split() for line in stub if line.startswith("from ")]  # HOME import NAME as NAME
    return {name: home for _, home, _, name, *_ in words}


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562): a plugin scan must not wait for torch, nor an app without us for our schedules."""
    if name == "__all__":
        return sorted(_homes())
    home = None if name.startswith("_") else _homes().get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_homes()]
