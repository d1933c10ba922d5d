"""How long a run is: as its loop said, as somebody has set it, or else as it is assumed to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cosched.config.schemas import PreviewConfig
from cosched.schedules.durations import DATA, Run

EPOCHS, EPOCH_LENGTH = 10, 100  # what is assumed
NODES = ("hydra.launcher", "hydra.callbacks.schedule_report", "cosched")  # where it may be set, if the launcher is ours


def noted(lengths: Sequence[Length]) -> str:
    """Which of the lengths of schedules' runs are assumed, and of how many of them."""
    counted = Counter(str(length) for length in lengths if length.assumed)
    return "; ".join(
        f"{text}{'' if count == len(lengths) else f' for {count} of {len(lengths)} curves'}"
        for text, count in sorted(counted.items())
    )


@dataclass(frozen=True, kw_only=True)
class Length:
    """The length of a run; what is None is not known, and assumed.

    Attributes:
        epochs: how many epochs the run has.
        epoch_length: how many iterations an epoch has.
        max_iters: or how many iterations the run has, where they end it.
        tokens_per_iteration: how many tokens an iteration has, for durations in them; not assumed.
        batch_size: how many samples an iteration has, likewise.
        guessed: whether all of it is assumed, for it is that of others.
    """

    epochs: int | None = None
    epoch_length: int | None = None
    max_iters: int | None = None
    tokens_per_iteration: int | None = None
    batch_size: int | None = None
    guessed: bool = False

    @classmethod
    def of(cls, config: DictConfig) -> Length:
        """What the config of an app says, wherever it does.

        Raises:
            OmegaConfBaseException: it cannot be resolved.
        """
        ours = OmegaConf.select(config, "hydra.launcher._target_") == PreviewConfig._target_
        nodes = [OmegaConf.select(config, node, throw_on_missing=False) for node in NODES[not ours :]]
        found: dict[str, Any] = {}
        for name in ("epochs", "epoch_length", *DATA.values()):
            values = [OmegaConf.select(node, name) for node in nodes if OmegaConf.is_dict(node)]
            found[name] = next((int(value) for value in values if value is not None), None)
        return cls(**found)

    def otherwise(self, other: Length) -> Length:
        """This one, where it is not known the ``other`` one."""
        if self.max_iters is not None:
            return self
        return replace(other, **{name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def seen(cls, run: Run) -> Length:
        """What a loop said when the run began."""
        data = {name: getattr(run, name) for name in DATA.values()}
        return cls(epochs=run.max_epochs, epoch_length=run.epoch_length, max_iters=run.max_iters, **data)

    @property
    def whole(self) -> dict[str, Any]:
        """The same with what is assumed: arguments of `cosched.sweeps.curves.curve`."""
        found = {name: value for name, value in asdict(self).items() if name != "guessed"}
        if self.epoch_length is None:
            found["epoch_length"] = EPOCH_LENGTH
        if self.epochs is None:
            found["epochs"] = EPOCHS if self.max_iters is None else -(-self.max_iters // found["epoch_length"])
        return found

    @property
    def missing(self) -> list[str]:
        """The names of what would have to be said for nothing to be assumed."""
        if self.max_iters is not None:
            return []
        return [name for name in ("epochs", "epoch_length") if getattr(self, name) is None]

    @property
    def assumed(self) -> bool:
        """Whether a part of it is nobody's word."""
        return self.guessed or bool(self.missing)

    def __str__(self) -> str:
        if self.max_iters is not None:
            return f"{'assumed ' * self.guessed}{self.max_iters:,} iterations"
        whole, once = self.whole, self.guessed or len(self.missing) == 2  # said once, of both
        first, second = once or self.epochs is None, self.epoch_length is None and not once
        epochs, iterations = _counted(whole["epochs"], "epoch"), _counted(whole["epoch_length"], "iteration")
        return f"{'assumed ' * first}{epochs} x {'assumed ' * second}{iterations}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
