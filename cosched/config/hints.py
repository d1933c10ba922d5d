"""What Hydra's refusal of a config does not say: how a field is spelt, and where the values for one shape belong."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from cosched.config.schemas import OTHERS
from cosched.schedules.registry import registered
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import Schedule


@contextmanager
def hints() -> Iterator[None]:
    """Where Hydra refuses a field that the chosen scheduler does not have, print what is meant perhaps.

    Hydra itself advises ``+``, which would add the misspelt key. Around the main function of any app::

        with cosched.hints():
            main()
    """
    try:
        yield
    except BaseException as error:  # Hydra prints an error, and exits
        for hint in explained(error):
            print(hint, file=sys.stderr)
        raise


def explained(error: BaseException) -> list[str]:
    """The remedy, if ``error``, or what it was raised for, is that a config of ours does not have some field."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
            known: Any = cause.object_type
            ours = isinstance(known, type) and (issubclass(known, Schedule) or known in OTHERS.values())
            return [_remedy(str(cause.full_key), known, cause.parent_node)] if ours else []
        cause = cause.__cause__ or cause.__context__
    return []


def hidden() -> list[str]:
    """What to write for an option of ours where the app that runs has one of the same name, and that is chosen."""
    hydra = GlobalHydra.instance()
    if not (hydra.is_initialized() and HydraConfig.initialized()):
        return []
    sources = hydra.config_loader().get_sources()
    found = []
    for key, name in HydraConfig.get().runtime.choices.items():
        group, at, package = str(key).partition("@")
        having = {one.provider == "cosched" for one in sources if one.is_config(f"{group}/{name}")}
        if group == "scheduler" and having == {True, False}:
            ours = f"cosched/{group}@{package if at else group}"
            found.append(
                f"{key}={name} is an option of the app's own, which hides that of cosched: choose that one by "
                f"'~{key}' '+{ours}={name}', or in a defaults list by {ours}: {name}"
            )
    return found


def _remedy(full_key: str, known: type[Any], node: Any) -> str:
    path, _, key = full_key.rpartition(".")
    text = f"{full_key} is not a field of {known.__qualname__.rpartition('.')[2]}: "
    fields: Any = OmegaConf.to_container(node)
    if inside := [f"{path}.{one}" for one in _inside(fields, key)]:
        text += f"did you mean {' or '.join(inside)}?"
    else:
        text += did_you_mean(key, [str(one) for one in fields if not str(one).startswith("_")])
    if any(key in vars(one)["__dataclass_fields__"] for one in registered().values()):
        text += (
            f"\nWhat your config sets for one option of {path} belongs into a file in the group "
            f"{path.replace('.', '/')}: then another option takes its place as a whole"
        )
    return text


def _inside(fields: Any, key: str) -> Iterator[str]:
    """The paths, below ``fields``, of those that are called ``key``."""
    for name, one in fields.items():
        if isinstance(one, Mapping):
            yield from ([f"{name}.{key}"] if key in one else [])
            yield from (f"{name}.{path}" for path in _inside(one, key))
