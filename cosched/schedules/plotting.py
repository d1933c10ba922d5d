"""A schedule's curve, for matplotlib (extra ``plot``): restarts are jumps, and not slopes that no event has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from cosched import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cosched.schedules.schedule import Schedule

LOOKED_AT = 10_000  # events among which restarts are sought, for how much of a schedule is worth a look


def plot(schedule: Schedule, num_events: int | None, axes: Any, **style: Any) -> Any:
    """What `Schedule.plot` does."""
    if axes is None:
        require("schedule.plot()", "plot", "matplotlib")
        from matplotlib import pyplot

        axes = pyplot.subplots(layout="constrained")[1]
    if num_events is None:
        num_events = extent(schedule)
    restarts = schedule.restarts(num_events).tolist()
    join(axes, [line(axes, range(num_events), schedule.values(range(num_events)), restarts, **style)])
    axes.set_xlabel("event (from 0)")
    return axes


def extent(schedule: Schedule) -> int:
    """How many events show what a schedule is: three cycles or phases, or twice as many events as have restarts."""
    restarts = schedule.restarts(LOOKED_AT).tolist()
    return int(restarts[2] if len(restarts) > 2 else 2 * restarts[-1] if restarts else LOOKED_AT // 10)


def svg(schedule: Schedule) -> str | None:
    """A small picture for a notebook; None: without matplotlib, or without a run that gives its durations."""
    try:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 2.2), layout="constrained")
        plot(schedule, None, figure.subplots())
    except (ImportError, ValueError):
        return None
    text = StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()


def line(axes: Any, events: Any, values: Any, restarts: Sequence[int], **style: Any) -> Any:
    """Draw ``values`` at ascending ``events`` on matplotlib's ``axes``; return the line, and where it jumps.

    Where the value jumps at one of ``restarts``, the line ends and begins anew; `join` draws what is between. ``style``
    is matplotlib's, for ``axes.plot``.
    """
    import numpy as np

    events, values = np.asarray(events, dtype=np.float64), np.asarray(values, dtype=np.float64)
    at = jumps(events, values, restarts)
    ends = np.concatenate([[0], at, [len(events)]])
    alone = ends[:-1][np.diff(ends) == 1]  # an event between two jumps is no line
    dots = {"marker": "o", "markersize": 3, "markevery": (alone + np.searchsorted(at, alone, "right")).tolist()}
    style = dots | style if alone.size else style
    (drawn,) = axes.plot(np.insert(events, at, np.nan), np.insert(values, at, np.nan), **style)
    return drawn, [[(events[i], values[i - 1]), (events[i], values[i])] for i in at]


def join(axes: Any, lines: Iterable[Any]) -> None:
    """Draw a faint line at each jump of ``lines``, which `line` returned: all at once, for one by one takes long."""
    from matplotlib.collections import LineCollection

    jumping = [(drawn, between) for drawn, between in lines if between]
    if jumping:
        faint = LineCollection(
            [one for _, between in jumping for one in between],
            colors=[drawn.get_color() for drawn, between in jumping for _ in between],
            linewidths=[drawn.get_linewidth() / 2 for drawn, between in jumping for _ in between],
            alpha=0.35,
            zorder=min(drawn.get_zorder() for drawn, _ in jumping),  # above none of the lines
        )
        axes.add_collection(faint, autolim=False)


def jumps(events: Any, values: Any, restarts: Sequence[int]) -> npt.NDArray[np.intp]:
    """The places in ``events`` of those restarts at which the value moves twice as far as it does beside them."""
    import numpy as np

    at = np.searchsorted(events, np.asarray(restarts, dtype=np.float64))
    at = np.unique(at[(at > 0) & (at < len(events))])
    moves = abs(np.diff(values, prepend=values[:1], append=values[-1:]))
    jumping: npt.NDArray[np.intp] = at[moves[at] > 2 * np.maximum(moves[at - 1], moves[at + 1])]
    return jumping
