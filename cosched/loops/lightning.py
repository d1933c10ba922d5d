"""A Lightning callback: schedules that follow the trainer's clock."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf
from torch.optim import Optimizer

from cosched import require
from cosched.binding.bound import Bound
from cosched.config.build import refuse_interpolations, resolved
from cosched.config.schemas import ConfigError
from cosched.loops.torch import TorchScheduler
from cosched.schedules.durations import Run


def _lightning() -> Any:
    """Lightning's callbacks, of the package that the app has loaded, if one is installed."""
    for name in sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules):
        try:
            return import_module(f"{name}.callbacks")
        except ModuleNotFoundError as error:
            if not f"{name}.callbacks".startswith(str(error.name)):
                raise
    return None


_callbacks = _lightning()
_Callback: Any = object if _callbacks is None else _callbacks.Callback


class ScheduleCallback(_Callback):  # type: ignore[misc]  # of which class it is, only a run tells
    """Drives an optimizer of a Lightning module with one or several schedules, by the trainer's own clock.

    An iteration is an update of the optimizer, whatever ``accumulate_grad_batches`` is, and an epoch is the trainer's;
    durations such as ``10ep`` and ``25%`` come from the trainer too. Only where the module steps its optimizers itself
    (manual optimization) nobody but the module knows when it does so, and an iteration is a batch.

    What is wrong with a schedule over the whole run is said before the first batch. Each value is applied before its
    update and logged as ``schedule/<name>``; `LearningRateMonitor` sees it too. The state is in the trainer's
    checkpoints, and what is resumed is checked as by `cosched.TorchScheduler`: where a schedule is another one than was
    saved, its ``on_mismatch`` decides. ``save_history`` has no use here, for that is what loggers are for.

    Each optimizer has one callback at most: give it several schedulers in a mapping. In a config its node needs
    ``_recursive_: false``, for the scheduler can only be built when there is an optimizer; the option
    ``callbacks/cosched`` has that, and takes the scheduler from the app's own key ``scheduler``.

    Args:
        scheduler: what `cosched.TorchScheduler` takes: a config node, a mapping or sequence of them, or a pure
            schedule, which drives ``lr``.
        optimizer: which of those from ``configure_optimizers``, from 0.
        tokens_per_iteration: tokens of an update, for durations such as ``2Btok``: of all batches that are accumulated,
            and of all processes. It takes the place of every scheduler's own.
        batch_size: samples of an update, likewise, for durations such as ``500ksample``.
        allow: what configs may name beyond `cosched`, as for `cosched.attach`.

    Raises:
        ConfigError: ``scheduler`` cannot be resolved; or, when a fit starts, it cannot be built, its durations cannot
            be resolved, a value is not one that the parameter can take, something else drives the same number, or the
            checkpoint has another schedule. It is a ValueError.
        ModuleNotFoundError: Lightning is not installed.
    """

    def __init__(
        self,
        scheduler: Any,
        *,
        optimizer: int = 0,
        tokens_per_iteration: int | None = None,
        batch_size: int | None = None,
        allow: Sequence[str] = (),
    ) -> None:
        if _callbacks is None:
            require("cosched.ScheduleCallback", "lightning", "lightning")
        if isinstance(optimizer, bool) or not isinstance(optimizer, int) or optimizer < 0:
            raise ConfigError(f"optimizer={optimizer!r} must be the number of an optimizer, from 0")
        if OmegaConf.is_config(scheduler):
            scheduler = resolved(scheduler, "scheduler")
        refuse_interpolations(scheduler, "scheduler")  # they would be resolved when a fit starts
        self.scheduler, self.optimizer = scheduler, optimizer
        self.allow = (allow,) if isinstance(allow, str) else tuple(allow)
        self.data: dict[str, Any] = {"tokens_per_iteration": tokens_per_iteration, "batch_size": batch_size}
        Run(**self.data)  # which refuses what is not a count
        self._driving: _TrainersScheduler | None = None  # since the last fit started
        self._saved: Mapping[str, Any] | None = None  # from a checkpoint that is being loaded

    @property
    def state_key(self) -> str:
        """The key of this callback's state in a checkpoint."""
        return f"{type(self).__qualname__}{{'optimizer': {self.optimizer}}}"

    def state_dict(self) -> dict[str, Any]:
        """The position, and what it is the position in, as plain data."""
        return self._driving.state_dict() if self._driving is not None and self._driving.parts else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep what a checkpoint holds until the optimizer is there, too."""
        self._saved = state_dict

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Bind the schedulers and check all of their values."""
        if trainer.ckpt_path is None:  # else the clock is yet to be restored, and perhaps the position in the data
            self._begin(trainer, pl_module)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Apply the values at the trainer's clock."""
        if trainer.ckpt_path is not None:
            self._begin(trainer, pl_module)
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Apply the values at the trainer's clock: another epoch has begun."""
        self._apply(trainer, pl_module)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Apply the values of the coming update, whatever has been done to the optimizer meanwhile, and log them."""
        self._apply(trainer, pl_module)
        driving, every = self._driving, trainer.log_every_n_steps
        if driving is None or trainer.barebones:
            return
        if every and (driving.last_epoch + 1) % every == 0:  # Lightning takes long to log, and passes on no other step
            self.log_dict(dict(driving.values(f"{self.optimizer}/" if len(trainer.optimizers) > 1 else "")))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Apply the next values, as Lightning steps its schedulers, for callbacks that come before this one."""
        epoch = trainer.current_epoch + trainer.is_last_batch
        if epoch != trainer.max_epochs and not 0 <= trainer.max_steps <= trainer.global_step:  # else the run is over
            self._apply(trainer, pl_module, epoch)

    def _begin(self, trainer: Any, module: Any) -> None:
        before, self._saved = self._saved, None
        if before is None and trainer.ckpt_path is None and trainer.global_step and self._driving is not None:
            before = self._driving.state_dict()  # the trainer goes on
        trainer.fit_loop.setup_data()
        if 0 in (trainer.num_training_batches, trainer.limit_train_batches):
            return
        run = _run_of(trainer, module)
        driving = _TrainersScheduler(
            self._chosen(trainer),
            self.scheduler,
            epoch_length=run.epoch_length,
            max_epochs=run.max_epochs,
            max_iters=run.max_iters,
            **self.data,
            allow=self.allow,
        )
        for name, part in driving.parts.items():
            for number, what in part.target.numbers().items():
                for other, numbers in _others(trainer, driving.optimizer):
                    if number in numbers:
                        raise ConfigError(
                            f"{name}: {what} is driven by {other}, too: use only one of them, as model.scheduler=null "
                            "does where a config makes that one"
                        )
        if before is not None:
            # At the end of a run the next values are not applied, and the state is that of the values before.
            clock = {"last_epoch": _updates(trainer, module)} if "last_epoch" in before else {}
            driving.epoch = trainer.current_epoch
            driving.load_state_dict({**before, **clock})
        for name, part in driving.parts.items():
            if part.waits:
                raise ConfigError(
                    f"{name}: it begins where a checkpoint has come to: fit(..., ckpt_path=...) loads one"
                )
        self._driving = driving

    def _chosen(self, trainer: Any) -> Optimizer:
        count = len(trainer.optimizers)
        if self.optimizer >= count:
            raise ConfigError(
                f"optimizer={self.optimizer} is out of range: configure_optimizers gives {count}, so give 0 to "
                f"{count - 1}"
            )
        if [one.optimizer for one in trainer.callbacks if isinstance(one, ScheduleCallback)].count(self.optimizer) > 1:
            raise ConfigError(
                f"optimizer={self.optimizer} has two ScheduleCallbacks: give one of them all schedulers, in a mapping"
            )
        chosen: Optimizer = trainer.optimizers[self.optimizer]
        return chosen

    def _apply(self, trainer: Any, module: Any, epoch: int | None = None) -> None:
        if self._driving is None:
            return
        batches, steps = _updates(trainer, module), trainer.global_step
        manual = not module.automatic_optimization
        self._driving.go_to(batches, trainer.current_epoch if epoch is None else epoch)
        if manual and self._driving.max_iters and steps != batches * len(trainer.optimizers):
            self._driving.max_iters = None
            warnings.warn(
                f"max_steps={trainer.max_steps} counts the steps of every optimizer, {steps} after "
                f"{batches} batches; the schedules assume one step of each optimizer per batch, and so another end of "
                "the run: use max_epochs",
                stacklevel=2,
            )


class _TrainersScheduler(TorchScheduler):
    """A torch scheduler that has no count of its own, but is told where it is."""

    epoch = 0

    def _applying(self, name: str, part: Bound) -> Callable[[int], None]:
        if self._run(part).per_epoch:
            return lambda _: part.apply(self.epoch)
        return part.apply

    def _done(self, part: Bound, steps: int) -> int | None:
        done = super()._done(part, steps)
        return self.epoch if done is None else done

    def _watch(self, *_: Any) -> None:
        """Nothing can be wrong with calls of ``step()``, for there are none."""

    def go_to(self, index: int, epoch: int) -> None:
        """Apply the values of the update ``index`` in ``epoch``."""
        self.epoch, self._step_count = epoch, index + 1
        self._update_lr(index)

    def values(self, prefix: str) -> Iterator[tuple[str, float]]:
        """What is in force, by name; for each group of its own where groups differ."""
        for name, part in self.parts.items():
            values = part.target.values(part.schedule(part.event_index - 1))
            if len(set(part.target.scales)) == 1:
                yield f"schedule/{prefix}{name}", values[0]
                continue
            for i, (group, value) in enumerate(zip(part.target.groups, values, strict=True), 1):
                yield f"schedule/{prefix}{name}/{group.get('name', f'pg{i}')}", value


def _updates(trainer: Any, module: Any) -> int:
    """How many updates of an optimizer there have been, or batches where the module makes the updates itself."""
    steps: int = trainer.global_step
    batches: int = trainer.fit_loop.epoch_loop.batch_progress.total.processed
    return steps if module.automatic_optimization else batches


def _run_of(trainer: Any, module: Any) -> Run:
    """How long the run and its epochs are, in updates of one optimizer."""
    epoch_length = max_epochs = max_iters = None
    callbacks = [one for one in trainer.callbacks if isinstance(one, _callbacks.GradientAccumulationScheduler)]
    factors = {factor for one in callbacks for factor in one.scheduling.values()} or {trainer.accumulate_grad_batches}
    if math.isfinite(trainer.num_training_batches) and len(factors) == 1:
        epoch_length = math.ceil(trainer.num_training_batches / factors.pop())
    if trainer.max_epochs != -1:
        max_epochs = max(trainer.max_epochs, 1)
    if trainer.max_steps != -1:
        max_iters = trainer.max_steps
        if not module.automatic_optimization:
            max_iters = math.ceil(max_iters / len(trainer.optimizers))
        if epoch_length and max_epochs and max_iters >= epoch_length * max_epochs:
            max_iters = None
        else:
            max_epochs = None
    return Run(epoch_length=epoch_length, max_epochs=max_epochs, max_iters=max_iters)


def _others(trainer: Any, optimizer: Optimizer) -> Iterator[tuple[str, set[tuple[int, str]]]]:
    """What else changes numbers of the optimizer during a fit, and which, as `Target.numbers` identifies them."""
    for scheduler in [config.scheduler for config in trainer.lr_scheduler_configs]:
        if scheduler.optimizer is not optimizer:
            continue
        if isinstance(scheduler, TorchScheduler):
            numbers = {number for part in scheduler.parts.values() for number in part.target.numbers()}
        else:
            names = ("lr", "momentum", "betas[0]") if getattr(scheduler, "cycle_momentum", False) else ("lr",)
            numbers = {(id(group), name) for group in optimizer.param_groups for name in names}
        yield f"{type(scheduler).__name__} from configure_optimizers", numbers
    for one in trainer.callbacks:
        if isinstance(one, _callbacks.StochasticWeightAveraging) and optimizer is trainer.optimizers[0]:
            yield type(one).__name__, {(id(group), "lr") for group in optimizer.param_groups}
