"""A schedule's curve on somebody's axes: restarts are jumps, and not slopes that no event has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def line(axes: Any, events: Any, values: Any, restarts: Sequence[int], **style: Any) -> Any:
    """Draw ``values`` at ascending ``events`` on matplotlib's ``axes``; return the line.

    Where the value jumps at one of ``restarts``, the line ends and begins anew, with a faint one between. ``style`` is
    matplotlib's, for ``axes.plot``.
    """
    import numpy as np

    events, values = np.asarray(events, dtype=np.float64), np.asarray(values, dtype=np.float64)
    at = jumps(events, values, restarts)
    (drawn,) = axes.plot(np.insert(events, at, np.nan), np.insert(values, at, np.nan), **style)
    axes.vlines(
        events[at],
        values[at - 1],
        values[at],
        color=drawn.get_color(),
        linewidth=drawn.get_linewidth() / 2,
        alpha=0.35,
        zorder=drawn.get_zorder(),
    )
    return drawn


def jumps(events: Any, values: Any, restarts: Sequence[int]) -> npt.NDArray[np.intp]:
    """The places in ``events`` of those restarts at which the value moves twice as far as it does beside them."""
    import numpy as np

    at = np.searchsorted(events, np.asarray(restarts, dtype=np.float64))
    at = np.unique(at[(at > 0) & (at < len(events))])
    moves = abs(np.diff(values, prepend=values[:1], append=values[-1:]))
    jumping: npt.NDArray[np.intp] = at[moves[at] > 2 * np.maximum(moves[at - 1], moves[at + 1])]
    return jumping
