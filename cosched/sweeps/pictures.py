"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure.

What others named, overrides and parameters, is shown as text: dollars make no formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cosched.schedules.durations import Event
from cosched.sweeps.curves import Curve
from cosched.sweeps.sampling import first_restarts
from cosched.sweeps.text import plain

Curves = dict[str, list[list[float]]]  # name -> for each iteration, a value a line
Heat = tuple[tuple[str, str], list[tuple[float, float, float]]]  # two keys; (x, y, score) of each job

# Okabe & Ito 2008, told apart by colour-blind readers too; yellow left out, for it is faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#202020", "#8C8C8C")
LEGEND_ROWS = 30
LABEL = 60  # letters of a label that are shown


def draw_applied(path: Path, declared: Curves, applied: Curves, iteration: int, epoch_length: int) -> None:
    """Save one panel per declared name: its value at every iteration, and on top of it what was ``applied``.

    ``iteration`` is the last one, and an epoch has ``epoch_length`` of them; ``path`` is the file.
    """
    figure = Figure(figsize=(9, 1 + 2.6 * len(declared)), layout="constrained", dpi=120)
    for axes, (name, values) in zip(figure.subplots(len(declared), squeeze=False)[:, 0], declared.items(), strict=True):
        iterations = range(iteration - len(values) + 1, iteration + 1)
        below = axes.plot(
            iterations,
            values,
            color="#56B4E9",
            linewidth=5 if len(values[0]) == 1 else 2.5,
            solid_capstyle="round",
        )
        above = axes.plot(iterations, applied[name], color="#202020", linewidth=1)
        _finish(axes, "iteration", _text(name), min(map(min, values)), max(map(max, values)))
        epochs = axes.secondary_xaxis("top", functions=(lambda i: i / epoch_length, lambda e: e * epoch_length))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend([below[0], above[0]], ["declared", "applied"], loc="outside upper right", ncols=2, frameon=False)
    figure.savefig(path)


def draw_sweep(
    path: Path, lines: Sequence[tuple[str, Curve]], scores: Sequence[float] | None = None, heat: Heat | None = None
) -> None:
    """Save one panel per schedule, a line per curve, coloured by ``scores`` or labelled; and a heat map of ``heat``.

    ``scores`` stand beside ``lines``; NaN is no score, and its line is grey.
    """
    panels = list(dict.fromkeys((c.path, c.schedule.param_name) for _, c in lines))
    count = len(panels) + (heat is not None)
    figure = Figure(figsize=(12, 0.6 + 3.6 * count), layout="constrained", dpi=110)
    all_axes = figure.subplots(count, squeeze=False)[:, 0]
    labels = list(dict.fromkeys(label for label, _ in lines))
    colors = _colors(labels, scores, [label for label, _ in lines])
    handles = {}
    many = len(labels) > 20
    for axes, panel in zip(all_axes, panels, strict=False):
        curves = [(i, label, c) for i, (label, c) in enumerate(lines) if (c.path, c.schedule.param_name) == panel]
        for i, label, c in curves:
            color = colors[i]
            restarts = first_restarts(c.schedule, c.num_events, 51)
            above = 3 if scores is None or np.isfinite(scores[i]) else 2  # what has no score hides nothing
            (handles[label],) = axes.plot(
                c.events, c.values, color=color, linewidth=0.8 if many else 1.6, alpha=0.9, zorder=above
            )
            if len(restarts) <= 50 and not many:
                axes.plot(restarts, c.schedule.values(restarts), "o", color=color, markersize=4, zorder=above)
        schedule = curves[0][2].schedule
        finite = [c.values[np.isfinite(c.values)] for _, _, c in curves]
        bounds = [bound for values in finite if values.size for bound in (values.min(), values.max())] or [0.0]
        name = "\n".join(map(_text, panel if len({path for path, _ in panels}) > 1 else panel[1:]))
        _finish(axes, "epoch" if schedule.event is Event.EPOCH_STARTED else "iteration", name, min(bounds), max(bounds))
    known = [score for score in scores or () if np.isfinite(score)]
    if known:
        bar = ScalarMappable(Normalize(min(known), max(known)), "viridis")
        figure.colorbar(bar, ax=list(all_axes[: len(panels)]), label="returned value", pad=0.01)
    elif len(handles) > 1:
        columns = -(-len(handles) // LEGEND_ROWS)
        figure.set_size_inches(
            12 + 2.2 * columns, max(figure.get_size_inches()[1], min(len(handles), LEGEND_ROWS) * 0.2)
        )
        key, _, value = labels[0].rpartition("=")
        alone = value and all(label.rpartition("=")[0] == key for label in labels)  # one key, said once
        figure.legend(
            handles.values(),
            [_text(label.removeprefix(f"{key}=") if alone else label) for label in handles],
            title=_text(key) if alone else None,
            loc="outside right upper",
            ncols=columns,
            fontsize="small",
            frameon=False,
        )
    if heat is not None:
        _heat_map(figure, all_axes[-1], heat)
    figure.savefig(path)


def _colors(labels: Sequence[str], scores: Sequence[float] | None, by_line: Sequence[str]) -> list[object]:
    viridis = colormaps["viridis"]
    if scores is not None:
        known = [score for score in scores if np.isfinite(score)] or [0.0]
        scale = Normalize(min(known), max(known))
        return [viridis(scale(score)) if np.isfinite(score) else "#B0B0B0" for score in scores]
    if len(labels) <= len(PALETTE):
        return [PALETTE[labels.index(label)] for label in by_line]
    return [viridis(labels.index(label) / len(labels)) for label in by_line]


def _heat_map(figure: Figure, axes: Axes, heat: Heat) -> None:
    (x_key, y_key), points = heat
    xs, ys = sorted({x for x, _, _ in points}), sorted({y for _, y, _ in points})
    table = np.full((len(ys), len(xs)), np.nan)
    for x, y, score in points:
        table[ys.index(y), xs.index(x)] = score
    image = axes.imshow(table, origin="lower", aspect="auto", cmap="viridis")
    axes.set(xlabel=_text(x_key), ylabel=_text(y_key), xticks=range(len(xs)), yticks=range(len(ys)))
    axes.set_xticklabels([f"{x:g}" for x in xs])
    axes.set_yticklabels([f"{y:g}" for y in ys])
    figure.colorbar(image, ax=axes, label="returned value", pad=0.01)
    middle = (np.nanmin(table) + np.nanmax(table)) / 2 if np.isfinite(table).any() else 0.0
    for (row, column), value in np.ndenumerate(table):
        if table.size <= 100 and np.isfinite(value):
            axes.text(
                column, row, f"{value:.4g}", ha="center", va="center", color="black" if value > middle else "white"
            )


def _text(text: str) -> str:
    """``text`` for a picture: short, and with dollars that mean dollars."""
    text = plain(text)
    return (text if len(text) <= LABEL else f"{text[: LABEL - 1]}…").replace("$", r"\$")


def _finish(axes: Axes, unit: str, name: str, low: float, high: float) -> None:
    """Label the axes; a logarithmic one where the values span decades."""
    if 0 < 100 * low < high:
        axes.set_yscale("log")
    axes.set(xlabel=unit, ylabel=name)
    axes.grid(alpha=0.3)
    axes.margins(x=0.01)
    axes.spines["right"].set_visible(False)
