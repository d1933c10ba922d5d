"""The structured configs: each schedule with the fields that say where its values go, as Hydra shows and checks them.

``OmegaConf.to_object(cfg.scheduler)`` is one of these, and being a schedule it can be called: no optimizer is needed
to look at a curve. Every Hydra app in the environment imports this module at start: nothing heavy belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum

from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException

from cosched.durations import Event
from cosched.hints import did_you_mean
from cosched.schedules import CosineAnnealing, LinearCyclical, Schedule


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


@dataclass(kw_only=True)
class CosineAnnealingConfig(Binding, CosineAnnealing):
    """Option ``scheduler=cosine_annealing``."""

    _target_: str = "cosched.schedulers.CosineAnnealingScheduler"


@dataclass(kw_only=True)
class LinearCyclicalConfig(Binding, LinearCyclical):
    """Option ``scheduler=linear_cyclical``."""

    _target_: str = "cosched.schedulers.LinearCyclicalScheduler"


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


SchedulerConfig = CosineAnnealingConfig | LinearCyclicalConfig
SCHEMAS: dict[str, type[SchedulerConfig]] = {
    "cosine_annealing": CosineAnnealingConfig,
    "linear_cyclical": LinearCyclicalConfig,
}


def register() -> None:
    """Store the schemas where the files in ``cosched/conf`` look for them.

    Not in the groups themselves: Hydra would match them with an app's own files of the same names.
    """
    for name, schema in {**SCHEMAS, "preview": PreviewConfig, "report": ReportConfig}.items():
        ConfigStore.instance().store(group="cosched/schema", name=name, node=schema, provider="cosched")


def misspelt(overrides: Iterable[str]) -> list[str]:
    """For each override ``scheduler.<...>.<field>=...`` whose field no schema has, the remedy.

    Hydra's own refusal of such an override advises ``+``, which would add the misspelt key.
    """
    known = sorted({field.name for schema in SCHEMAS.values() for field in fields(schema)})
    keys = [override.partition("=")[0].lstrip("+~").split(".") for override in overrides]
    return [
        f"{'.'.join(key)} is no field of a scheduler: {did_you_mean(key[-1], known)}"
        for key in keys
        if key[0] == "scheduler" and len(key) > 1 and key[-1] not in known
    ]
