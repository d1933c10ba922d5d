"""The main job, a Hydra app like any user's: it trains a small network on the digits that scikit-learn ships.

What its config may name is offered here, and loaded when it is asked for: a command that only composes needs no torch.
"""

from typing import Any

__all__ = ["ConvNet", "ResidualNet", "digits", "layerwise"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cosched.digits import model

    return getattr(model, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
