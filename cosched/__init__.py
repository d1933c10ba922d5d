"""Parameter schedules for PyTorch experiments: declared in YAML, overridden and swept by Hydra, applied by ignite."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosched.clock import CycleEvents
    from cosched.config import ConfigError
    from cosched.engine import attach
    from cosched.phases import Phases, Scaled, lasting
    from cosched.schedulers import (
        ConstantScheduler,
        CosineAnnealingScheduler,
        ExponentialAnnealingScheduler,
        InverseSqrtScheduler,
        LinearCyclicalScheduler,
        PhasesScheduler,
        PiecewiseLinearScheduler,
        PolynomialAnnealingScheduler,
        ScaledScheduler,
        SqrtAnnealingScheduler,
    )
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
    from cosched.targets import EngineState

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "Constant",
    "ConstantScheduler",
    "CosineAnnealing",
    "CosineAnnealingScheduler",
    "CycleEvents",
    "EngineState",
    "ExponentialAnnealing",
    "ExponentialAnnealingScheduler",
    "InverseSqrt",
    "InverseSqrtScheduler",
    "LinearCyclical",
    "LinearCyclicalScheduler",
    "Phases",
    "PhasesScheduler",
    "PiecewiseLinear",
    "PiecewiseLinearScheduler",
    "PolynomialAnnealing",
    "PolynomialAnnealingScheduler",
    "Scaled",
    "ScaledScheduler",
    "SqrtAnnealing",
    "SqrtAnnealingScheduler",
    "attach",
    "lasting",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): a plugin scan must not wait for torch, nor an app without us for our schedules."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"ConfigError": "config", "CycleEvents": "clock", "EngineState": "targets", "attach": "engine"}
    home |= dict.fromkeys(("Phases", "Scaled", "lasting"), "phases")
    return getattr(
        import_module(f"cosched.{home.get(name, 'schedulers' if name.endswith('Scheduler') else 'shapes')}"), name
    )


def __dir__() -> list[str]:
    return __all__
