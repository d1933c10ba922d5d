"""What the main job makes of its config: data, model, parameter groups and optimizer; and what it refuses in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ignite.distributed as idist
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from cosched import Allowed, ConfigError, build, leaves
from cosched.digits.settings import Loop
from cosched.digits.watching import refuse_tracker

ALLOWED = Allowed(
    kinds=(nn.Module, Optimizer),
    packages=("cosched.digits.", "torch.nn.", "torch.optim."),
    names=("cosched.digits.digits", "cosched.digits.layerwise"),
)


def refuse(cfg: DictConfig) -> None:
    """Refuse what can be seen in the config alone, and its types let through.

    Raises:
        ConfigError: the message names the key.
    """
    for name in ("max_epochs", "batch_size"):
        if cfg.trainer[name] < 1:
            raise ConfigError(f"trainer.{name}={cfg.trainer[name]} must be at least 1")
    momentum = cfg.trainer.ema_momentum
    if momentum is not None and not 0 < momentum < 1:
        raise ConfigError(f"trainer.ema_momentum={momentum} must be between 0 and 1, or null for no average")
    if cfg.resume_at is not None and cfg.resume_from is None:
        raise ConfigError(f"resume_at={cfg.resume_at} is a point in a run: give its folder as resume_from")
    if cfg.snapshots and cfg.loop is Loop.torch:
        raise ConfigError("snapshots=true follows events that loop=torch does not have: use loop=ignite")
    refuse_tracker(cfg.logger)
    for path, node in _mappings(OmegaConf.to_container(cfg)["scheduler"], "scheduler"):  # type: ignore[call-overload, index]
        inside = [key for key, one in node.items() if isinstance(one, (dict, list, type(None)))]
        if "_target_" not in node and len(inside) < len(node):
            raise ConfigError(
                f"{path} has values, {', '.join(node)}, but no _target_ that takes them: if its option has been left "
                f"out, delete them too, with ~{path}"
            )
        name = str(node.get("param_name"))
        if name.startswith("engine.") and cfg.loop is Loop.torch:
            raise ConfigError(
                f"{path}.param_name={name} is in an ignite engine, which loop=torch does not run: use loop=ignite"
            )


def _mappings(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is declared in ``node``, from the outside to each scheduler, and where."""
    if isinstance(node, dict):
        yield path, node
    if isinstance(node, (dict, list)) and "_target_" not in node:
        for key, one in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _mappings(one, f"{path}.{key}" if isinstance(node, dict) else f"{path}[{key}]")


def device_of(cfg: DictConfig) -> torch.device:
    """Where to train.

    Raises:
        ConfigError: torch does not have it here.
    """
    name = cfg.trainer.device
    try:
        found = torch.device(idist.device() if name == "auto" else name)
        torch.empty(0, device=found)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise ConfigError(f"trainer.device={name} cannot be used here: {reason}; auto takes what there is") from error
    return found


def built(cfg: DictConfig, key: str, *args: Any) -> Any:
    """What the ``_target_`` of the node ``key`` makes of ``args`` and the rest of it."""
    return build(cfg[key], ALLOWED, key, *args)


def param_groups(model: nn.Module, cfg: DictConfig) -> Any:
    """The model's parameters: in one group, in the groups that a ``_target_`` makes, or in one group per submodule."""
    declared = cfg.param_groups
    if declared is None:
        return model.parameters()
    if "_target_" in declared:
        return built(cfg, "param_groups", model)
    try:
        groups = [
            {"params": list(model.get_submodule(str(name)).parameters()), "name": name, **options}
            for name, options in declared.items()
        ]
    except (AttributeError, TypeError) as error:
        raise ConfigError(f"param_groups: {error}: give it as {{submodule: {{lr: 0.1}}, ...}}") from error
    missing = {id(p) for p in model.parameters()} - {id(p) for group in groups for p in group["params"]}
    if missing:
        names = [name for name, p in model.named_parameters() if id(p) in missing]
        raise ConfigError(f"param_groups={list(declared)} leaves out {', '.join(names)}: add their submodule")
    return groups


def by_name(bound: Any) -> dict[str, Any]:
    """The schedulers that `attach` returned, by their keys or else by the parameters that they drive."""
    named = [(name or scheduler.param_name, scheduler) for name, scheduler in leaves(bound)]
    if len(dict(named)) < len(named):
        names = ", ".join(name for name, _ in named)
        raise ConfigError(
            f"scheduler: {names} would share a column of history.csv: declare them in a mapping, by names of their own"
        )
    return dict(named)
