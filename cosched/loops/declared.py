"""From what a user declares to bound schedulers: config nodes and schedulers, alone or in mappings and sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from cosched.binding.bound import Bound
from cosched.config.build import Allowed, build, resolved
from cosched.config.hints import hidden
from cosched.config.schemas import ConfigError

Owner = Callable[[str], tuple[Any, str]]  # by param_name, what has that number, and its name there


def bound(declared: Any, kinds: tuple[type, ...], allowed: Allowed, owner: Owner) -> Any:
    """``declared`` with every config in it replaced by the scheduler that it describes, one of ``kinds``.

    Raises:
        ConfigError: a config cannot be built, or what it gives is not a scheduler; the message begins with its path.
        TypeError: something in it is neither a config nor a scheduler.
    """
    try:
        return _bound(declared, kinds, allowed, owner, "scheduler")
    except (ConfigError, TypeError) as error:
        if not (notes := hidden()):
            raise
        raise ConfigError("; ".join([str(error), *notes])) from error


def _bound(declared: Any, kinds: tuple[type, ...], allowed: Allowed, owner: Owner, path: str) -> Any:
    if declared is None or isinstance(declared, kinds):
        return declared
    plain = isinstance(declared, Mapping) and not OmegaConf.is_config(declared)
    if OmegaConf.is_config(declared) or hasattr(type(declared), "_target_") or (plain and "_target_" in declared):
        try:
            declared = resolved(declared, path)
        except RecursionError as error:
            raise ConfigError(f"{path} is nested too deeply to be read") from error
    if isinstance(declared, Mapping) and "_target_" in declared:
        return _made(dict(declared), kinds, allowed, owner, path)
    if isinstance(declared, Mapping):
        return {key: _bound(one, kinds, allowed, owner, f"{path}.{key}") for key, one in declared.items()}
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        return [_bound(one, kinds, allowed, owner, f"{path}[{i}]") for i, one in enumerate(declared)]
    raise TypeError(
        f"{path}={declared!r} is not a scheduler: give a bound scheduler, a config node with _target_, or a mapping or "
        "sequence of them"
    )


def _made(config: dict[str, Any], kinds: tuple[type, ...], allowed: Allowed, owner: Owner, path: str) -> Any:
    name = config.get("param_name")
    try:
        optimizer, found = owner(name if isinstance(name, str) else "")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if isinstance(name, str):
        config["param_name"] = found
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{path} is a config: give the optimizer to bind it to, not {optimizer!r}")
    try:
        scheduler = build(config, allowed, path, optimizer=optimizer)
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply to be read") from error
    if not isinstance(scheduler, kinds):
        kind = type(scheduler).__name__
        raise ConfigError(f"{path}: _target_={config['_target_']} gives a {kind}, which is not a scheduler")
    if isinstance(scheduler, Bound):
        scheduler.key = f"{path}."
    return scheduler


def leaves(bound: Any, name: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """Each scheduler in ``bound``, alone or in mappings and sequences, with its key in a mapping, or else ``name``."""
    if isinstance(bound, dict):
        for key, one in bound.items():
            yield from leaves(one, key)
    elif isinstance(bound, list):
        for one in bound:
            yield from leaves(one, name)
    elif bound is not None:
        yield name, bound
