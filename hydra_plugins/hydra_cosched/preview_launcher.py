"""``hydra/launcher=preview``: draws the schedules of a sweep instead of running it."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cosched import require


class PreviewLauncher(Launcher):
    """Composes every job, shows what its schedules will do and runs nothing."""

    def __init__(self, epochs: int, epoch_length: int) -> None:
        """Take what Hydra hands over; each job's own length is read from its own config."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what is needed to compose the jobs."""
        try:
            require("hydra/launcher=preview", "plot", "matplotlib", "rich")
        except ModuleNotFoundError as error:
            raise ConfigCompositionException(str(error)) from error
        from cosched.sweeps.preview import Preview

        self.preview = Preview(hydra_context.config_loader, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Preview a batch of jobs; exits with status 1 after showing them if one of them is invalid."""
        return self.preview.show(job_overrides, initial_job_idx)
