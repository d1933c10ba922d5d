"""What a schedule's fields may hold, told by their types, and the values in their plain, immutable form."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from numbers import Real
from typing import Any, NoReturn, get_args, get_type_hints

from cosched.schedules.durations import MAX_EVENTS, Duration, parse


class FrozenDict(dict[Any, Any]):
    """A dictionary that cannot be changed, and so has a hash; the order of its items is a part of it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and list(self.items()) == list(other.items())

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a schedule cannot be modified: make another with dataclasses.replace")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse


def frozen(value: Any) -> Any:
    """``value`` with every list in it as a tuple and every dictionary as one that cannot be changed."""
    if isinstance(value, (list, tuple)):
        return tuple(frozen(one) for one in value)
    if isinstance(value, Mapping):
        return FrozenDict({key: frozen(one) for key, one in value.items()})
    return value


def plain(value: Any) -> Any:
    """``value`` as the Python number in it, where it is a NumPy scalar or a tensor of one element."""
    return value.item() if hasattr(value, "item") else value


def number(field: str, value: Any, _: int | None = None) -> float:
    """``value`` as a float.

    Raises:
        TypeError: it is not a number; the message names the field.
        ValueError: it is not finite.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (float, int, Real)):
        raise TypeError(f"{field}={value!r} is not a number: give a finite float")
    try:
        as_float = float(value)
    except OverflowError:  # an integer beyond float64's range
        as_float = math.inf
    if not math.isfinite(as_float):
        raise ValueError(f"{field}={value} is not finite: give a finite number")
    return as_float


def flag(field: str, value: Any, _: int | None = None) -> bool:
    """``value`` as a bool.

    Raises:
        TypeError: it is not a bool; the message names the field.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise TypeError(f"{field}={value!r} must be true or false")
    return value


def duration(field: str, value: Any, least: int | None = None) -> Duration:
    """``value`` as a duration: a text with a unit, or a count of at least ``least`` events.

    Raises:
        TypeError: it is neither text nor a number.
        ValueError: it is not a duration, or out of its range.
    """
    if isinstance(value, str):
        parse(field, value)
        return value
    return whole(field, value, least or 0)


def whole(field: str, value: Any, least: int | None = None) -> int:
    """``value`` as an integer of at least ``least`` (None: of any size below 2**53).

    Raises:
        TypeError: it is not a number; the message names the field.
        ValueError: it has a fraction, or is out of range.
    """
    value = plain(value)
    low = -MAX_EVENTS if least is None else least
    at_least = "" if least is None else f" of at least {least}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{field}={value!r} is not a number of events: give a whole number{at_least}")
    if not isinstance(value, int) or not low <= value < MAX_EVENTS:
        raise ValueError(f"{field}={value} must be a whole number{at_least} (and below 2**53)")
    return value


Check = Callable[[str, Any, "int | None"], Any]

_CHECKS: Mapping[Any, Check] = {float: number, bool: flag, int: whole, Duration: duration}


@cache
def checks(shape: Any) -> dict[str, tuple[Check, bool]]:
    """By field of ``shape``, what checks its value, and whether it may be None; other fields are not checked.

    Types are resolved, so that it is all one whether the module of the shape delays the evaluation of annotations.
    """
    hints = get_type_hints(shape)
    found = {}
    for f in fields(shape):
        kinds = set(get_args(hints[f.name]) or (hints[f.name],))
        optional = types.NoneType in kinds
        kinds.discard(types.NoneType)
        for kind, check in _CHECKS.items():
            if kinds == set(get_args(kind) or (kind,)):
                found[f.name] = check, optional
    return found


@cache
def timed(shape: Any) -> tuple[str, ...]:
    """The fields of ``shape`` that count its events; a phase's own ``duration`` counts those of the whole."""
    return tuple(name for name, (check, _) in checks(shape).items() if check is duration and name != "duration")
