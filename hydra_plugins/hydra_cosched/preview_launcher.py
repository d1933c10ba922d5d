"""``hydra/launcher=preview``: draws the schedules of a sweep instead of running it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cosched import require

if TYPE_CHECKING:
    from cosched.sweeps.preview import Preview


class PreviewLauncher(Launcher):
    """Composes every job, shows what its schedules will do and runs nothing."""

    def __init__(self, **options: int | None) -> None:
        """Take what Hydra hands over; each job's own length is read from its own config."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what is needed to compose the jobs."""
        self.preview, self.loader, self.config = preview_of(config), hydra_context.config_loader, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Preview a batch of jobs; exits with status 1 after showing them if one of them is invalid."""
        for job, overrides in enumerate(job_overrides, initial_job_idx):
            self.preview.compose(job, overrides, partial(self.loader.load_sweep_config, self.config, list(overrides)))
        return self.preview.show(job_overrides)


def preview_of(config: DictConfig) -> Preview:
    """What previews the jobs of an app.

    Raises:
        ConfigCompositionException: what it needs is not installed.
    """
    try:
        require("hydra/launcher=preview", "plot", "matplotlib", "rich")
    except ModuleNotFoundError as error:
        raise ConfigCompositionException(str(error)) from error
    from cosched.sweeps.preview import Preview

    return Preview(config)
