"""What Hydra's refusal of a config does not say: how a field is spelt, and where the values for one shape belong."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from cosched.config.schemas import OTHERS
from cosched.schedules.registry import registered
from cosched.schedules.remedies import did_you_mean, nearest
from cosched.schedules.schedule import Schedule

GROUPS = ("scheduler", "cosched/scheduler", "cosched/phase")  # whose options are ours, or some of them
NULL = re.compile(rf"(\+?)((?:{'|'.join(GROUPS)})(?:@([\w.]+))?)=(.*,)?null(,.*)?")


@contextmanager
def hints() -> Iterator[None]:
    """Where Hydra refuses an option or a field that the chosen scheduler does not have, print what is meant perhaps.

    Hydra itself advises ``+``, which would add the misspelt key. Around the main function of any app::

        with cosched.hints():
            main()
    """
    for refused in nulls(sys.argv[1:]):  # at which Hydra fails, with a traceback
        sys.exit(refused)
    try:
        yield
    except BaseException as error:  # Hydra prints an error, and exits
        for hint in explained(error):
            print(hint, file=sys.stderr)
        raise


def nulls(overrides: Iterable[str]) -> Iterator[str]:
    """What to type in place of each of the ``overrides`` that chooses null as one of our options."""
    for override in overrides:
        if match := NULL.fullmatch(override):
            plus, key, package = match.groups()[:3]
            without = "leave this out" if plus else f"leave the scheduler out with ~{key}"
            yield (
                f"{override}: null is not an option. Choose {plus}{key}=constant "
                f"{package or key.replace('/', '.')}.value=0.1, or if the app can do without, {without}"
            )


def explained(error: BaseException) -> list[str]:
    """The remedy, in lines, if ``error``, or what it was raised for, is that some field or option of ours is not there.

    Fields are those of a schedule, and the names of schedules, phases and the like in what holds several.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MissingConfigException):
            group, _, name = str(cause.missing_cfg_file).rpartition("/")
            text = f"there is no option {name!r} of {group}: {nearest(name, cause.options or [])}cosched list shows all"
            return [text] if group in GROUPS else []
        if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
            return _remedy(str(cause.full_key), cause.object_type, cause.parent_node)
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


def _remedy(full_key: str, known: Any, node: Any) -> list[str]:
    path, _, key = full_key.rpartition(".")
    if not _ours(known):
        several = path and OmegaConf.is_dict(node) and any(_ours(OmegaConf.get_type(node, one)) for one in node)
        return [f"{path} has no {key!r}: {did_you_mean(key, map(str, node))}"] if several else []
    text = f"{full_key} is not a field of {known.__qualname__.rpartition('.')[2]}: "
    fields: Any = OmegaConf.to_container(node)
    if inside := [f"{path}.{one}" for one in _inside(fields, key)]:
        text += f"did you mean {' or '.join(inside)}?"
    else:
        text += did_you_mean(key, [str(one) for one in fields if not str(one).startswith("_")])
    if not any(key in vars(one)["__dataclass_fields__"] for one in registered().values()):
        return [text]
    return [
        text,
        f"What your config sets for one option of {path} belongs into a file in the group {path.replace('.', '/')}: "
        "then another option takes its place as a whole",
    ]


def _ours(known: Any) -> bool:
    """Whether it is the type of a config of ours."""
    return isinstance(known, type) and (issubclass(known, Schedule) or known in OTHERS.values())


def _inside(fields: Any, key: str) -> Iterator[str]:
    """The paths, below ``fields``, of those that are called ``key``."""
    for name, one in fields.items():
        if isinstance(one, Mapping):
            yield from ([f"{name}.{key}"] if key in one else [])
            yield from (f"{name}.{path}" for path in _inside(one, key))
