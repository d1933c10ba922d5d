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


def widened(part: Interval, scale: float) -> Interval:
    """A little more, for rounding errors of numbers as great as ``scale``."""
    return part[0] - ROUNDING * scale, part[1] + ROUNDING * scale


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
    return ends[0] - ROUNDING * abs(ends[0]), ends[1] + ROUNDING * abs(ends[1])


def mixed(start: Interval, end: Interval, part: Interval) -> Interval:
    """The values ``start + (end - start) * part``."""
    if not finite(start, end, part):
        return UNKNOWN
    numbers, (low, high) = (*start, *end), part
    # For each start and each end this is linear in the part, so its bounds are at the ends of that.
    exact = union(*(_at(start, end, x) for x in part))
    lower, upper = widened(exact, max(map(abs, numbers)) * (1 + max(abs(low), abs(high))))
    if low >= 0 and high <= 1:  # between the two; and rounding keeps the order, so the sign as well
        lower = max(lower, 0.0) if min(numbers) >= 0 else lower
        upper = min(upper, 0.0) if max(numbers) <= 0 else upper
    return lower, upper


def _at(start: Interval, end: Interval, x: float) -> Interval:
    a, b = times(start, (1 - x, 1 - x)), times(end, (x, x))
    return a[0] + b[0], a[1] + b[1]
