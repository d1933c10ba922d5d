"""Bounds of values that are computed in floating point: pairs of a least and a greatest value that enclose them."""

from __future__ import annotations

import math

Interval = tuple[float, float]

ROUNDING = 2.0**-50  # relative; a formula of a few operations errs by less
UNKNOWN = -math.inf, math.inf


def hull(*values: float) -> Interval:
    """The interval from the least to the greatest."""
    return min(values), max(values)


def union(*parts: Interval) -> Interval:
    """The least interval that encloses all of them."""
    return min(low for low, _ in parts), max(high for _, high in parts)


def known(part: Interval | None) -> Interval | None:
    """The same, or None where it says nothing, for a number in it has overflowed."""
    return part if part is not None and finite(part) else None


def finite(*parts: Interval) -> bool:
    """Whether no number in them has overflowed, and the difference of no two does."""
    return math.isfinite(sum(abs(bound) for part in parts for bound in part))


def widened(part: Interval, scale: float, signed: bool = False) -> Interval:
    """A little more, for rounding errors of numbers as great as ``scale``; ``signed``: which do not change the sign."""
    low, high = part[0] - ROUNDING * scale, part[1] + ROUNDING * scale
    return (max(low, 0.0) if signed and part[0] >= 0 else low), (min(high, 0.0) if signed and part[1] <= 0 else high)


def times(part: Interval, factor: Interval) -> Interval:
    """The products, which are rounded once and so in order."""
    return hull(*(a * b for a in part for b in factor)) if finite(part, factor) else UNKNOWN


def powers(base: float, low: float, high: float) -> Interval:
    """``base`` to the powers of the integers from ``low`` to ``high``, which are not negative."""
    if base == 1:
        return 1.0, 1.0
    try:
        ends = hull(base**low, base**high)
    except OverflowError:
        return UNKNOWN
    if base < 0 and low < high:
        greatest = max(map(abs, ends))
        ends = -greatest, greatest
    lower, upper = ends[0] - ROUNDING * abs(ends[0]), ends[1] + ROUNDING * abs(ends[1])
    return (max(lower, -1.0), min(upper, 1.0)) if abs(base) <= 1 else (lower, upper)


def mixed(start: Interval, end: Interval, part: Interval) -> Interval:
    """The values ``start + (end - start) * part``."""
    if not finite(start, end, part):
        return UNKNOWN
    low, high = part
    # For each start and each end this is linear in the part, so its bounds are at the ends of that.
    exact = union(*(_at(start, end, x) for x in part))
    scale = max(map(abs, (*start, *end))) * (1 + max(abs(low), abs(high)))
    return widened(exact, scale, signed=low >= 0 and high <= 1)  # between the two, rounding keeps the order


def _at(start: Interval, end: Interval, x: float) -> Interval:
    a, b = times(start, (1 - x, 1 - x)), times(end, (x, x))
    return a[0] + b[0], a[1] + b[1]
