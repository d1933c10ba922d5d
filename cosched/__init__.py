"""Parameter schedules for PyTorch experiments: declared in YAML, overridden and swept by Hydra, applied by ignite."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cosched.schedules import CosineAnnealing, LinearCyclical

if TYPE_CHECKING:
    from cosched.engine import ConfigError, attach
    from cosched.schedulers import CosineAnnealingScheduler, LinearCyclicalScheduler
    from cosched.targets import EngineState

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "CosineAnnealing",
    "CosineAnnealingScheduler",
    "EngineState",
    "LinearCyclical",
    "LinearCyclicalScheduler",
    "attach",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562) what needs torch and ignite: a plugin scan must not wait seconds for them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("cosched.schedulers" if name.endswith("Scheduler") else "cosched.engine"), name)


def __dir__() -> list[str]:
    return __all__
