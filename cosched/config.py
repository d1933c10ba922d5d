"""The structured configs: each schedule with the fields that say where its values go, as Hydra shows and checks them.

``OmegaConf.to_object(cfg.scheduler)`` is one of these, and being a schedule it can be called: no optimizer is needed
to look at a curve. Every Hydra app in the environment imports this module at start: nothing heavy belongs here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, make_dataclass
from enum import Enum
from typing import Any

from hydra.errors import CompactHydraException
from omegaconf import OmegaConf

from cosched.durations import Event
from cosched.hints import did_you_mean
from cosched.phases import Phases, Scaled, phase
from cosched.schedules import Schedule
from cosched.shapes import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    PiecewiseLinear,
    PolynomialAnnealing,
    SqrtAnnealing,
)


class ConfigError(ValueError, CompactHydraException):
    """What was declared cannot be run; Hydra prints the message alone, without a traceback."""


class Mismatch(Enum):
    """What to do when a checkpoint's schedule is not the one that is configured now."""

    error = "error"  # stop, and say what differs
    config = "config"  # go on with the configured schedule
    checkpoint = "checkpoint"  # go on with the checkpoint's schedule


@dataclass(kw_only=True)
class Binding(Schedule):
    """Where the values of a schedule go, and when."""

    param_name: str = "lr"  # a number in the parameter groups: lr, betas[0], ...; or engine.state.NAME
    param_group_index: int | None = None  # the one group to drive, negative from the end; null: every group
    param_group: str | None = None  # or the groups whose key `name` fits this pattern: "backbone.*"
    relative: bool = False  # true: the schedule multiplies what each group held at first, which keeps their ratios
    event: Event = Event.ITERATION_STARTED  # what the schedule counts: iterations or epochs
    save_history: bool = False  # record each applied value in engine.state.param_history
    on_mismatch: Mismatch = Mismatch.error  # when a checkpoint has another schedule: error, config or checkpoint

    def _counted(self) -> Event:
        return self.event


@dataclass
class PreviewConfig:
    """Option ``hydra/launcher=preview``: over how long a run the schedules of each job are shown."""

    _target_: str = "hydra_plugins.hydra_cosched.preview_launcher.PreviewLauncher"
    epochs: int = 10  # epochs of the run; may be an interpolation into the app's config: ${trainer.max_epochs}
    epoch_length: int = 100  # iterations of an epoch, likewise


@dataclass
class ReportConfig:
    """Option ``hydra/callbacks=schedule_report``: the curves of each job, and of a sweep beside what it returned."""

    _target_: str = "cosched.report.ScheduleReport"
    epochs: int = 10  # epochs of the run; may be an interpolation into the app's config: ${trainer.max_epochs}
    epoch_length: int = 100  # iterations of an epoch, likewise
    maximize: bool = True  # whether the greatest of the returned values is the best


OTHERS: dict[str, type[Any]] = {"preview": PreviewConfig, "report": ReportConfig}
SHAPES: dict[str, type[Any]] = {
    "constant": Constant,
    "cosine_annealing": CosineAnnealing,
    "exponential_annealing": ExponentialAnnealing,
    "inverse_sqrt": InverseSqrt,
    "linear_cyclical": LinearCyclical,
    "phases": Phases,
    "piecewise_linear": PiecewiseLinear,
    "polynomial_annealing": PolynomialAnnealing,
    "scaled": Scaled,
    "sqrt_annealing": SqrtAnnealing,
}


def bound(shape: type[Any]) -> type[Binding]:
    """The schema ``<shape>Config`` of the scheduler ``<shape>Scheduler``: the fields of both, each said elsewhere."""
    name = f"{shape.__name__}Config"
    known: type[Binding] | None = globals().get(name)
    if known is not None and issubclass(known, shape):
        return known
    target = ("_target_", "str", f"cosched.schedulers.{shape.__name__}Scheduler")
    made = make_dataclass(name, [target], bases=(Binding, shape), kw_only=True)
    made.__module__, made.__doc__ = __name__, f"What configures a `{shape.__name__}Scheduler`."
    globals()[name] = made  # by its name for pickle
    return made


def schema(group: str, name: str) -> type[Any] | None:
    """The typed config that Hydra finds at ``group/name``, if there is one; the plugin asks, when a config does."""
    if group == "cosched/schema" and name in OTHERS:
        return OTHERS[name]
    makers: dict[str, Callable[[type[Any]], type[Any]]] = {"cosched/schema": bound, "cosched/phase": phase}
    return makers[group](SHAPES[name]) if group in makers and name in SHAPES else None


def schema_of(target: Any) -> type[Any] | None:
    """The schema of what ``target`` names, if it is a scheduler or a phase of ours, wherever it is imported from."""
    package, _, name = str(target).rpartition(".")
    for option, shape in SHAPES.items() if package.partition(".")[0] == "cosched" else ():
        for group, suffix in (("cosched/schema", "Scheduler"), ("cosched/phase", "Phase")):
            if name == shape.__name__ + suffix:
                return schema(group, option)
    return None


def __getattr__(name: str) -> Any:
    """``CosineAnnealingConfig`` and so on are made when they are asked for (PEP 562): most runs need one of them."""
    for shape in SHAPES.values():
        if name == f"{shape.__name__}Config":
            return bound(shape)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def typed(node: Any) -> Any:
    """Plain data with every scheduler and phase in it made a typed config again, which checks its fields.

    Raises:
        OmegaConfBaseException: a field is unknown, or its value not of its type.
    """
    if not isinstance(node, Mapping):
        return node
    children = {key: typed(child) for key, child in node.items()}
    known = schema_of(node.get("_target_"))
    return children if known is None else OmegaConf.merge(OmegaConf.structured(known), children)


def misspelt(overrides: Iterable[str]) -> list[str]:
    """For each override ``scheduler.<...>.<field>=...`` whose field no schema has, the remedy.

    Hydra's own refusal of such an override advises ``+``, which would add the misspelt key.
    """
    known = sorted({"duration", *(f.name for shape in SHAPES.values() for f in fields(bound(shape)))} - {"_target_"})
    keys = [override.partition("=")[0].lstrip("+~").split(".") for override in overrides]
    return [
        f"{'.'.join(key)} is no field of a scheduler: {did_you_mean(key[-1], known)}"
        for key in keys
        if key[0] == "scheduler" and len(key) > 1 and key[-1] not in known
    ]
