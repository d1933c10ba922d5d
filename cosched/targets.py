"""Where a value goes: the only code that writes into an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch

from cosched.hints import did_you_mean


def check(groups: Sequence[dict[str, Any]], name: str, index: int | None) -> None:
    """Refuse, before training, a name or a group that an optimizer with these parameter groups does not have."""
    if index is not None:
        if isinstance(index, bool) or not isinstance(index, int):
            raise TypeError(f"param_group_index={index!r} must be an integer, or None for every group")
        if not -len(groups) <= index < len(groups):
            raise ValueError(
                f"param_group_index={index} is out of range: the optimizer has {len(groups)} parameter group(s), "
                f"so give 0 to {len(groups) - 1}, or None for every group"
            )
        groups = [groups[index]]
    present = [group[name] for group in groups if name in group]
    if not present:
        keys = dict.fromkeys(key for group in groups for key in group if key != "params")
        raise ValueError(f"param_name={name!r} is in no parameter group: {did_you_mean(name, keys)}")
    for value in present:
        if isinstance(value, bool) or not isinstance(value, (Real, torch.Tensor)):
            raise ValueError(f"param_name={name!r} holds {value!r}, not a number: choose a parameter that is one")


def write(groups: Sequence[dict[str, Any]], name: str, value: float) -> None:
    """Set ``name`` to ``value`` in each group that has it; a tensor keeps its identity and is filled."""
    for group in groups:
        current = group.get(name)
        if isinstance(current, torch.Tensor):
            current.fill_(value)
        elif current is not None:
            group[name] = value
