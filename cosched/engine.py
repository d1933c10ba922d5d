"""Registration: from a composed config, or from bound schedulers, to handlers on an engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from ignite.engine import Engine, Events
from ignite.handlers.param_scheduler import BaseParamScheduler, ParamGroupScheduler
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cosched.clock import IgniteEvent, known_event
from cosched.config import ConfigError
from cosched.durations import Event
from cosched.hints import did_you_mean
from cosched.schedulers import BoundScheduler
from cosched.targets import EngineState

Scheduler = BaseParamScheduler | ParamGroupScheduler
STATE = "engine.state."  # a param_name that begins so is an attribute of the engine's state


def attach(
    engine: Engine,
    scheduler: Any,
    optimizer: Any = None,
    *,
    event: str | Event | IgniteEvent | None = None,
    allow: Sequence[str] = (),
) -> Any:
    """Register schedulers on ``engine`` and return them bound, in the shape they were given in.

    ``scheduler`` is a bound scheduler, a config node with ``_target_``, or a mapping or sequence of either; a mapping's
    keys are the schedulers' names in ``engine.state.param_history``. ``None``, YAML's ``null``, is no schedule.
    ``optimizer`` is what config nodes are bound to, but for a ``param_name`` of ``engine.state.<attribute>``.
    ``event`` takes the place of every scheduler's own.

    A config file is no licence to call anything: built are only targets inside ``cosched`` and ``ignite.handlers``,
    and what ``allow`` names, a package as ``"my_package."`` or one target as ``"my_package.MyScheduler"``.

    All is built before anything is registered, so an error leaves the engine as it was.

    Raises:
        ConfigError: a config node cannot be built; the message begins with its key. It is a ValueError.
        TypeError: ``scheduler`` is none of the above, or the optimizer for a config node has no ``param_groups``.
        ValueError: ``event`` is not counted by the engine.
    """
    allowed = ("cosched.", "ignite.handlers.", *allow)
    bound = _build(scheduler, (engine, optimizer), allowed, "scheduler")
    if isinstance(event, (str, Event)) or any(isinstance(one, BoundScheduler) for _, one in leaves(bound)):
        event = None if event is None else known_event(event)
    for name, one in leaves(bound):
        if isinstance(one, BoundScheduler):
            one.attach(engine, event, name)
        else:
            engine.add_event_handler(event or Events.ITERATION_STARTED, one, name)
    return bound


def _build(node: Any, owners: tuple[Engine, Any], allowed: Sequence[str], path: str) -> Any:
    """``node`` with every config in it replaced by the scheduler that it describes."""
    if node is None or isinstance(node, Scheduler):
        return node
    if OmegaConf.is_config(node) or hasattr(type(node), "_target_"):
        try:
            config = node if OmegaConf.is_config(node) else OmegaConf.structured(node)
            node = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    if isinstance(node, Mapping) and "_target_" in node:
        return _instantiate(dict(node), owners, allowed, path)
    if isinstance(node, Mapping):
        return {key: _build(one, owners, allowed, f"{path}.{key}") for key, one in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_build(one, owners, allowed, f"{path}[{i}]") for i, one in enumerate(node)]
    raise TypeError(
        f"{path}={node!r} is no scheduler: give a bound scheduler, a config node with _target_, or a mapping or "
        "sequence of them"
    )


def _instantiate(config: dict[str, Any], owners: tuple[Engine, Any], allowed: Sequence[str], path: str) -> Scheduler:
    engine, optimizer = owners
    name = str(config.get("param_name"))
    if name.startswith(STATE):
        optimizer, config = EngineState(engine), {**config, "param_name": name.removeprefix(STATE)}
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{path} is a config: give attach the optimizer to bind it to, not {optimizer!r}")
    try:
        scheduler = _made(config, optimizer, allowed, path)
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply to be read") from error
    if not isinstance(scheduler, Scheduler):
        found = type(scheduler).__name__
        raise ConfigError(f"{path}: _target_={config['_target_']} gives a {found}, which is no scheduler")
    return scheduler


def _made(node: Any, optimizer: Any, allowed: Sequence[str], path: str) -> Any:
    """What ``node`` describes, the innermost first, so that an error tells where it is.

    Whatever takes an ``optimizer`` gets it: instantiate would give it to the outermost alone.
    """
    if isinstance(node, list):
        return [_made(one, optimizer, allowed, f"{path}[{i}]") for i, one in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    made = {key: _made(one, optimizer, allowed, f"{path}.{key}") for key, one in node.items()}
    if "_target_" not in node:
        return made
    plain = {key: one for key, one in node.items() if not any(_targets(one))}
    objects = {key: one for key, one in made.items() if key not in plain}
    try:
        build = factory(plain, allowed)
        found = get_object(node["_target_"])
        for key in node if is_dataclass(found) else ():
            names = [f.name for f in fields(found) if not f.name.startswith("_")]
            if key not in names and not str(key).startswith("_"):
                raise TypeError(f"{found.__name__} has no field {key!r}: {did_you_mean(str(key), names)}")
        takes = inspect.signature(found).parameters.values()
        binds = any(one.name == "optimizer" or one.kind is one.VAR_KEYWORD for one in takes)
        return build(**objects, **({"optimizer": optimizer} if binds else {}))
    except (HydraException, OmegaConfBaseException, ArithmeticError, ImportError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def factory(config: Mapping[str, Any], allowed: Sequence[str]) -> Callable[..., Any]:
    """What ``config`` describes, to be called with what a config cannot hold; only ``allowed`` names are ever called.

    Those arguments do not pass through ``instantiate``, which would take a dataclass among them for a config.
    """
    for target in _targets(config):
        _authorize(target, allowed)
    # From 1.4 on Hydra has an allow-list of its own, and wants to be given one.
    native = "_execution_whitelist_"
    whitelist = [f"{item}*" if item.endswith(".") else item for item in allowed]
    supported = native in inspect.signature(instantiate).parameters
    made: Callable[..., Any] = instantiate(
        config, _partial_=True, _convert_="all", **({native: whitelist} if supported else {})
    )
    return made


def _authorize(target: str, allowed: Sequence[str]) -> None:
    """Refuse a target that is outside the allowed packages, or whose name in them only leads outside."""

    def check(name: str) -> None:
        if not any(name.startswith(item) if item.endswith(".") else name == item for item in allowed):
            raise ValueError(
                f"_target_={target} would call {name}, but a config may only call {', '.join(allowed)}: "
                "if it is meant, allow it where the config is used, as in cosched.attach(..., allow=...)"
            )

    check(target)
    found = get_object(target)
    check(f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', '?')}")


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)


def leaves(bound: Any, name: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """Each scheduler in what `attach` returned, with its key if it stands in a mapping."""
    if isinstance(bound, dict):
        for key, one in bound.items():
            yield from leaves(one, key)
    elif isinstance(bound, list):
        for one in bound:
            yield from leaves(one, name)
    elif bound is not None:
        yield name, bound
