"""The structured configs: each shape with the fields that say where its values go, as Hydra shows and checks them.

``OmegaConf.to_object(cfg.scheduler)`` is one of these, and being a schedule it can be called: no optimizer is needed
to look at a curve. They are made when a config asks for one; nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from functools import cache
from typing import Any, cast

from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from cosched.schedules import registry
from cosched.schedules.durations import DATA, Event, Run
from cosched.schedules.fields import checks
from cosched.schedules.phase import phase
from cosched.schedules.schedule import Schedule


class ConfigError(ValueError, CompactHydraException):
    """What was declared cannot be run; Hydra prints the message alone, without a traceback."""


class Mismatch(Enum):
    """What to do when a checkpoint's schedule is not the one that is configured now."""

    error = "error"  # stop, and say what differs
    config = "config"  # go on with the configured schedule
    checkpoint = "checkpoint"  # go on with the checkpoint's schedule
    branch = "branch"  # begin the configured schedule where the checkpoint's has come to


@dataclass(kw_only=True)
class Binding(Schedule):
    """Where the values of a schedule go, and when: arguments of `cosched.BoundScheduler`, which says what they mean."""

    param_name: str = "lr"
    param_group_index: int | None = None
    param_group: str | None = None
    relative: bool = False
    initial_value: float | None = None
    event: Event = Event.ITERATION_STARTED
    save_history: bool = False
    on_mismatch: Mismatch = Mismatch.error
    tokens_per_iteration: int | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            setattr(self, f.name, followed(getattr(self, f.name), vars(self), f.name))
        super().__post_init__()

    def alone(self) -> Schedule:
        """The schedule without what binds it."""
        shape: Any = next(one for one in type(self).__mro__ if one in registry.registered().values())
        made: Schedule = shape(**{f.name: getattr(self, f.name) for f in fields(shape)})
        return made

    def resolve_in(self, run: Run) -> Any:  # noqa: D102  # said in Schedule
        return super().resolve_in(run.knowing(**{name: getattr(self, name) for name in DATA.values()}))

    def _counted(self) -> Event:
        return self.event


PREVIEW_RUN = "_global_.hydra.callbacks.cosched_preview"  # where it stands, absolute


@dataclass
class PreviewRunConfig:
    """What ``hydra/launcher=preview`` brings along, for without ``-m`` Hydra asks no launcher."""

    _target_: str = "hydra_plugins.hydra_cosched._callbacks.PreviewRun"


@dataclass
class PreviewConfig:
    """Option ``hydra/launcher=preview``: over how long a run the schedules of each job are shown.

    What is null is what the report's option says, or ``cosched.epochs`` and the like in the app's own config. A length
    that is said nowhere is assumed, and the preview says so.

    Attributes:
        epochs: epochs of the run; may be an interpolation into the app's config: ``${trainer.max_epochs}``.
        epoch_length: iterations of an epoch, likewise.
        tokens_per_iteration: how many tokens an iteration has, for durations such as ``2Btok``, likewise; for an app
            that tells it to `cosched.attach` alone.
        batch_size: how many samples an iteration has, for durations such as ``500ksample``, likewise.
    """

    defaults: list[str] = field(default_factory=lambda: [f"/cosched/schema/preview_run@{PREVIEW_RUN}"])
    _target_: str = "hydra_plugins.hydra_cosched.preview_launcher.PreviewLauncher"
    epochs: int | None = None
    epoch_length: int | None = None
    tokens_per_iteration: int | None = None
    batch_size: int | None = None


@dataclass
class ReportConfig:
    """Option ``hydra/callbacks=schedule_report``: the curves of each job, and of a sweep beside what it returned.

    The curves are those of the run that a job's loop has begun. The length that is set here, or as for the preview,
    holds for a job that begins none.

    Attributes:
        epochs: epochs of the run; may be an interpolation into the app's config: ``${trainer.max_epochs}``.
        epoch_length: iterations of an epoch, likewise.
        maximize: whether the greatest of the returned values is the best, or the least; null: as the sweeper says, and
            where it does not, jobs are not ranked.
    """

    _target_: str = "hydra_plugins.hydra_cosched._callbacks.schedule_report"
    epochs: int | None = None
    epoch_length: int | None = None
    maximize: bool | None = None


OTHERS: dict[str, type[Any]] = {"preview": PreviewConfig, "preview_run": PreviewRunConfig, "report": ReportConfig}
OWN = {  # by name, the bound schedulers that have a class of their own
    f"cosched.{one.__name__}Scheduler": name for name, one in registry.registered().items() if registry.is_ours(one)
}


def _make(name: str, shape: Any) -> type[Binding]:
    target = f"cosched.{shape.__name__}Scheduler"
    own: list[tuple[str, Any, Any]] = [("_target_", str, field(default=target))]
    if target not in OWN or OWN[target] != name:
        own = [("_target_", str, field(default="cosched.RegisteredScheduler")), ("shape", str, field(default=name))]
    taken = {"duration", "skip", "shape", "type", *(f.name for f in fields(Binding))}
    if clash := {f.name for f in fields(shape)} & taken:
        raise ValueError(
            f"the fields {', '.join(sorted(clash))} of the shape {name!r} have a meaning in every config: rename them"
        )
    if {f.name for f in fields(shape)} - checks(shape).keys():  # not numbers alone: instantiate must not wrap them,
        own.append(("_convert_", str, field(default="all")))
        own.append(("_recursive_", bool, field(default=False)))  # nor bind what stands inside
    return make_dataclass(
        f"{shape.__name__}Config",
        own,
        bases=(Binding, shape),
        kw_only=True,
        namespace={"__doc__": f"What configures a `{shape.__name__}` for an optimizer."},
    )


scheduler = registry.Derived(__name__, "scheduler", _make)


def options(group: str) -> list[str]:
    """The names of the typed configs that Hydra finds in ``group``."""
    return [*OTHERS, *registry.names()] if group == "cosched/schema" else registry.names()


def schema(group: str, name: str) -> type[Any] | None:
    """The typed config that Hydra finds at ``group/name``, if there is one; the plugin asks, when a config does."""
    if group == "cosched/schema" and name in OTHERS:
        return OTHERS[name]
    if not registry.known(name):
        return None
    shape = registry.shape(name)
    return phase(shape) if group == "cosched/phase" else scheduler(shape)


def schema_of(node: Mapping[Any, Any]) -> type[Any] | None:
    """The schema of a node whose ``_target_`` is a scheduler or a phase of ours, or a shape's that is registered.

    Raises:
        ValueError: it names a shape that is not registered.
    """
    target = str(node.get("_target_"))
    if target in OWN:
        return scheduler(registry.shape(OWN[target]))
    if target in ("cosched.Phase", "cosched.RegisteredScheduler"):
        shape = registry.shape(str(node.get("shape")))
        return phase(shape) if target == "cosched.Phase" else scheduler(shape)
    return None


def followed(value: Any, binding: dict[str, Any], path: str) -> Any:
    """What a schedule's field holds, with the schedule alone where it is what another parameter is to follow.

    So ``schedule: ${..lr}`` is read. ``binding`` says where the values of the whole go, and when. It takes from what
    it follows how much data an iteration has, where that is known only there.

    Raises:
        ValueError: what is followed counts another event.
    """
    if isinstance(value, Mapping) and value.get("_target_") is None:
        return {key: followed(one, binding, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, Mapping):
        known = schema_of(value)
        if known is None or not issubclass(known, Binding):
            return value
        value = OmegaConf.to_object(typed(value))
    if not isinstance(value, Binding):
        return value
    event = binding["event"]
    if getattr(event, "value", event) not in (value.event.value, value.event.name):
        raise ValueError(
            f"{path}.event is {value.event.name}, and here it is {getattr(event, 'name', event)}: what follows another "
            "schedule counts the same events, so give both one event"
        )
    for name in DATA.values():
        binding[name] = getattr(value, name) if binding[name] is None else binding[name]
    return value.alone()


def typed(node: Any) -> Any:
    """Plain data with every scheduler and phase in it made a typed config again, which checks its fields.

    Raises:
        OmegaConfBaseException: a field is unknown, or its value not of its type.
        ValueError: it names a shape that is not registered.
    """
    if not isinstance(node, Mapping):
        return node
    children = {key: typed(child) for key, child in node.items()}
    known = schema_of(node)
    # By merging: OmegaConf 2.4 warns of an int that is assigned where a float is meant.
    return children if known is None else OmegaConf.merge(_empty(known), children)  # type: ignore[arg-type]


@cache  # to make it takes longer than to merge, which copies it
def _empty(schema: type[Any]) -> DictConfig:
    return cast("DictConfig", OmegaConf.structured(schema))
