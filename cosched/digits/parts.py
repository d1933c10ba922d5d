"""What the main job makes of its config: data, model, parameter groups and optimizer, and names for the schedulers."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from cosched import Allowed, ConfigError, build, leaves

ALLOWED = Allowed(
    kinds=(nn.Module, Optimizer),
    packages=("cosched.digits.", "torch.nn.", "torch.optim."),
    names=("cosched.digits.digits", "cosched.digits.layerwise"),
)


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
        raise ConfigError(f"scheduler: {names} would share a column: declare them in a mapping, whose keys name them")
    return dict(named)
