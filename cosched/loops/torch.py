"""A torch learning rate scheduler, for any loop that calls ``step()``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cosched.binding.bound import Bound
from cosched.config.build import Allowed
from cosched.config.schemas import ConfigError, Mismatch
from cosched.loops import declared
from cosched.schedules.durations import DATA, Event, Run
from cosched.schedules.schedule import Schedule


class TorchScheduler(LRScheduler):
    """Drives an optimizer with one or several schedules, by a call of ``step()`` after each of its updates.

    It is a ``torch.optim.lr_scheduler.LRScheduler``, for loops that know those. As torch's, it applies the first value
    when it is made, and ``step()`` applies the next. Schedules that are to save their history do so in
    ``param_history``, by name: a value per driven group for each step.

    Call ``step()`` once for each update, not for each batch, process or epoch. If it comes more often in the first 8
    updates, or not at all in the first epoch, a warning says so; likewise if it comes after each update where ``event``
    says that it is an epoch, and the length of an epoch or of the run is known. With Accelerate, give
    ``Accelerator(step_scheduler_with_optimizer=False)``, and call ``step()`` where ``accelerator.sync_gradients`` is
    true. One process, or ``split_batches=True``, is right without that.

    In a config for ``hydra.utils.instantiate``, ``_partial_: true`` needs ``_recursive_: false`` beside it, so that the
    schedulers in ``scheduler`` are built here, where the optimizer is known.

    Args:
        optimizer: a torch optimizer.
        scheduler: a config node as for `cosched.attach`, a bound scheduler, a mapping or sequence of them, or a pure
            schedule, which drives ``lr``.
        epoch_length: updates in an epoch; needed where a schedule counts epochs, or its durations do.
        max_epochs: epochs of the run; needed for durations such as ``25%``.
        max_iters: or updates of the run.
        tokens_per_iteration: tokens of an update, for durations such as ``2Btok``: of all batches that are accumulated,
            and of all processes. It takes the place of every scheduler's own.
        batch_size: samples of an update, likewise, for durations such as ``500ksample``.
        event: what one ``step()`` is: ``iteration_started``, an update, or ``epoch_started``, an epoch.
        allow: what configs may name beyond `cosched`, as for `cosched.attach`.

    Raises:
        ConfigError: a config cannot be built, a duration cannot be resolved, a value is not one that the parameter can
            take, or a number is driven twice. It is a ValueError.
        TypeError: ``optimizer`` is not a torch optimizer, or ``scheduler`` is none of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        scheduler: Any,
        *,
        epoch_length: int | None = None,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        tokens_per_iteration: int | None = None,
        batch_size: int | None = None,
        event: str | Event = Event.ITERATION_STARTED,
        allow: Sequence[str] = (),
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer={optimizer!r} must be a torch optimizer")
        self.epoch_length, self.max_epochs, self.max_iters = epoch_length, max_epochs, max_iters
        self.tokens_per_iteration, self.batch_size = tokens_per_iteration, batch_size
        self.per_epoch = _step_event(event) is Event.EPOCH_STARTED
        allowed = Allowed(kinds=(Schedule, Bound), packages=("cosched.",), names=allow)
        if isinstance(scheduler, Schedule) and not hasattr(scheduler, "_target_"):
            scheduler = Bound(optimizer, scheduler, "lr")
        self.parts: dict[str, Bound] = {}
        for name, part in declared.leaves(declared.bound(scheduler, (Bound,), allowed, _owner(optimizer))):
            name = str(name or part.param_name)
            if name in self.parts:
                raise ConfigError(f"scheduler: two are named {name}: declare them in a mapping, whose keys name them")
            if part.target.optimizer is not optimizer:
                raise ConfigError(f"{name}: it is bound to another optimizer")
            self.parts[name] = part
        self._begin()
        self.param_history: dict[str, list[list[float]]] = {}
        self._applied = [self._applying(name, part) for name, part in self.parts.items()]
        self._seen: list[int] = []  # how many steps there had been, at each of the optimizer's first updates
        try:
            self._watching = optimizer.register_step_post_hook(self._watch)
        except AttributeError:  # what wraps an optimizer, as Accelerate's does, may never have been made as one
            self._seen.append(0)
        super().__init__(optimizer)

    def __repr__(self) -> str:
        parts = ", ".join(f"{part.target.number}={part.declared!r}" for part in self.parts.values())
        return f"{type(self).__name__}({parts})"

    def _run(self, part: Bound) -> Run:
        names = ("epoch_length", "max_epochs", "max_iters", *DATA.values())
        return Run(per_epoch=_counts_epochs(part), **{name: getattr(self, name) for name in names})

    def _begin(self, steps: int | None = None) -> None:
        """Let all of it begin, or go on after so many steps."""
        seen: dict[tuple[int, str], str] = {}
        for name, part in self.parts.items():
            try:
                done = None if steps is None else self._done(part, steps)
                notes = [] if steps is None and part.waits else part.begin(self._run(part), steps is None, at=done)
            except ValueError as error:
                raise ConfigError(f"{name}: {error}") from error
            for text in notes:
                warnings.warn(f"{name}: {text}", stacklevel=3)
            for key, what in part.target.numbers().items():
                if key in seen:
                    raise ConfigError(
                        f"{what} is driven twice, by {seen[key]} and by {name}: remove one, or give them different "
                        "param_group_index or param_group"
                    )
                seen[key] = name

    def _done(self, part: Bound, steps: int) -> int | None:
        """How many of the events of ``part`` have begun after so many steps."""
        if self.per_epoch is _counts_epochs(part):
            return steps
        return None if self.epoch_length is None else -(-steps // self.epoch_length)

    def _applying(self, name: str, part: Bound) -> Callable[[int], None]:
        """What applies the value of ``part`` at a number of steps."""
        apply = part.apply
        if getattr(part, "save_history", False):
            history = self.param_history.setdefault(name, [])

            def apply(index: int) -> None:
                part.apply(index)
                history.append(part.target.values(part.schedule(index)))

        if self.per_epoch is _counts_epochs(part):
            return apply
        if self.per_epoch or self.epoch_length is None:
            counted, step = ("iterations", "an epoch") if self.per_epoch else ("epochs", "an iteration")
            remedy = "call step() after each update" if self.per_epoch else "give epoch_length, or event=epoch_started"
            raise ConfigError(f"{name}: the schedule counts {counted}, and a step() is {step}: {remedy}")
        length = self.epoch_length
        return lambda step: apply(step // length)

    def _watch(self, *_: Any) -> None:
        """Look whether each of the first updates comes with one ``step()``, but for a few that a GradScaler skips."""
        self._seen.append(self.last_epoch)
        text = self._remark_on_epochs() if self.per_epoch else self._remark_on_updates()
        if text is None:
            return
        self._watching.remove()
        if text:
            warnings.warn(f"step() of the scheduler {text}", stacklevel=4)

    def _remark_on_updates(self) -> str | None:
        """What is wrong with the steps beside the updates so far, where a step is an update; None: nothing is yet."""
        count, first, last = len(self._seen), self._seen[0], self.last_epoch
        whole = self.epoch_length or 0
        if count == whole > 1 and 0 <= first == last:  # one that waits in torch's SequentialLR is at -1
            return (
                f"is not called in {count} updates of the optimizer, a whole epoch: call it after each, or give "
                "event=epoch_started, where a step() is an epoch"
            )
        if count < 8 or (first == last and count < whole):
            return None
        if (steps := min(b - a for a, b in pairwise(self._seen))) > 1:
            return (
                f"is called {steps} times for each update of the optimizer, and the schedule is that much faster: call "
                "it once. Accelerate does so with step_scheduler_with_optimizer=False"
            )
        return ""

    def _remark_on_epochs(self) -> str | None:
        """The same where a step is an epoch: then there is none between most updates, if an epoch has several."""
        count, length = len(self._seen), self.epoch_length
        often = (self.max_epochs or 0) + 1 if length is None else min(length, 8)  # not even a run of whole batches
        if often == 1 or (count > 1 and self._seen[-2] >= self.last_epoch):
            return ""
        if count < often:
            return None
        return (
            f"is called after each of {count} updates of the optimizer, and with event=epoch_started a step() is an "
            "epoch: call it after each epoch, or leave event out"
        )

    def step(self, epoch: int | None = None) -> None:
        """Apply the next values.

        Args:
            epoch: the number of steps to go to instead, from 0, as torch's ``SequentialLR`` asks for.
        """
        if self._step_count == 1 and not self._seen:
            warnings.warn(
                "step() of the scheduler was called before that of the optimizer, which will not see the first values: "
                "call it after each update",
                stacklevel=2,
            )
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:  # torch's ``SequentialLR`` calls it, since 2.7
        self.last_epoch = step = self.last_epoch + 1 if epoch is None else epoch
        for apply in self._applied:
            apply(step)

    def get_last_lr(self) -> list[Any]:
        """The learning rate of each parameter group; tensors are copies."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return [rate.clone() if hasattr(rate, "clone") else rate for rate in rates]

    def get_lr(self) -> list[Any]:
        """What `get_last_lr` gives: values are applied by ``step()``, and a schedule drives other numbers, too."""
        return self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The number of steps, and what they were steps of, as plain data."""
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "schedulers": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where the state was saved, and apply its values; nothing changes unless all of it fits.

        Where a schedule is another one than was saved, its ``on_mismatch`` decides.

        Raises:
            ConfigError: a schedule or the run is another one, and nobody has chosen. It is a ValueError.
            TypeError: ``state_dict`` is not a mapping.
            ValueError: a key is missing or wrong.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict should be a dictionary, but given {type(state_dict)}")
        if missing := {"last_epoch", "_step_count", "schedulers"} - state_dict.keys():
            raise ValueError(f"state_dict lacks {sorted(missing)}: it was not saved by a {type(self).__name__}")
        counts = {name: state_dict[name] for name in ("last_epoch", "_step_count")}
        for name, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{name}={count!r} in state_dict must be an integer of at least 0")
        saved = state_dict["schedulers"]
        if not isinstance(saved, Mapping) or (
            saved.keys() != self.parts.keys()
            and any(part.on_mismatch is not Mismatch.config for part in self.parts.values())
        ):
            raise ConfigError(
                f"the checkpoint has the schedulers {', '.join(saved)}, this config {', '.join(self.parts)}: use the "
                "config of that run, or on_mismatch=config in each"
            )
        before = {name: dict(vars(part)) for name, part in self.parts.items()}
        try:
            for name in saved.keys() & self.parts.keys():
                try:
                    self.parts[name].load_state_dict(saved[name])
                except ValueError as error:
                    raise ConfigError(f"{name}: {error}") from error
            self._begin(counts["last_epoch"])
        except Exception:
            for name, part in self.parts.items():
                vars(part).update(before[name])
            raise
        vars(self).update(counts)
        for apply in self._applied:
            apply(self.last_epoch)


def _counts_epochs(part: Bound) -> bool:
    value = getattr(part.event, "value", part.event)
    if part.filtered or value not in [event.value for event in Event]:
        raise ConfigError(
            f"{part.param_name}: event={part.event!r} is for ignite's engines: here it must be ITERATION_STARTED or "
            "EPOCH_STARTED"
        )
    return bool(value == Event.EPOCH_STARTED.value)


def _step_event(event: Any) -> Event:
    for one in Event:
        if event in (one, one.value, one.name):
            return one
    raise ValueError(f"event={event!r} must be one of {', '.join(one.value for one in Event)}")


def _owner(optimizer: Optimizer) -> declared.Owner:
    def owner(name: str) -> tuple[Any, str]:
        if name.startswith("engine."):
            raise ValueError(f"param_name={name!r} is of an ignite engine, and here is none: use cosched.attach for it")
        return optimizer, name

    return owner
