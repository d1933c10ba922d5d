"""Our cyclical shapes as bound schedulers, each with ignite's positional arguments and its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosched.config.schemas import Mismatch  # noqa: F401  # as others below, for the completed signatures
from cosched.loops.ignite.constructors import ShapeScheduler, constructor
from cosched.loops.ignite.follower import IgniteEvent  # noqa: F401
from cosched.loops.ignite.scheduler import BindingOptions, HasGroups
from cosched.schedules.annealing import (
    CosineAnnealing,
    ExponentialAnnealing,
    LinearCyclical,
    PolynomialAnnealing,
    SqrtAnnealing,
    TanhAnnealing,
)
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.durations import Duration, Event  # noqa: F401

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CyclicalOptions(BindingOptions, total=False):
    """What bound schedulers of cyclical shapes take by keyword; `CyclicalSchedule` says what it means."""

    warmup_duration: Duration
    num_cycles: int | None
    endpoint: bool
    startpoint: bool
    amplitude_mult: float
    amplitude_decay: float


class CyclicalScheduler(ShapeScheduler):
    """`CyclicalSchedule`, bound to a parameter of an optimizer: what has its fields and no more."""

    shape = CyclicalSchedule

    @constructor(CyclicalSchedule)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...


class CosineAnnealingScheduler(ShapeScheduler):
    """`cosched.CosineAnnealing`, bound to a parameter of an optimizer."""

    shape = CosineAnnealing

    @constructor(CosineAnnealing)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        k_decay: float = 1.0,
        power: float = 1.0,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...


class SqrtAnnealingScheduler(ShapeScheduler):
    """`cosched.SqrtAnnealing`, bound to a parameter of an optimizer."""

    shape = SqrtAnnealing

    @constructor(SqrtAnnealing)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        power: float = 0.5,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...


class ExponentialAnnealingScheduler(CyclicalScheduler):
    """`cosched.ExponentialAnnealing`, bound to a parameter of an optimizer."""

    shape = ExponentialAnnealing


class LinearCyclicalScheduler(ShapeScheduler):
    """`cosched.LinearCyclical`, bound to a parameter of an optimizer."""

    shape = LinearCyclical

    @constructor(LinearCyclical)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        monotonic: bool = False,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...


class PolynomialAnnealingScheduler(ShapeScheduler):
    """`cosched.PolynomialAnnealing`, bound to a parameter of an optimizer."""

    shape = PolynomialAnnealing

    @constructor(PolynomialAnnealing)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        power: float = 1.0,
        k_decay: float = 1.0,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...


class TanhAnnealingScheduler(ShapeScheduler):
    """`cosched.TanhAnnealing`, bound to a parameter of an optimizer."""

    shape = TanhAnnealing

    @constructor(TanhAnnealing)
    def __init__(
        self,
        optimizer: HasGroups,
        param_name: str,
        start_value: float | None,
        end_value: float,
        cycle_size: Duration,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        save_history: bool = False,
        param_group_index: int | None = None,
        *,
        lower: float = -7.0,
        upper: float = 3.0,
        **options: Unpack[CyclicalOptions],
    ) -> None: ...
