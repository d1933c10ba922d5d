"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curves = dict[str, list[list[float]]]  # name -> for each iteration, a value a line


def draw_applied(path: Path, declared: Curves, applied: Curves, epoch_length: int) -> None:
    """Save one panel per declared name: its value at every iteration, and on top of it what the optimizer held."""
    figure = Figure(figsize=(9, 1 + 2.6 * len(declared)), layout="constrained", dpi=120)
    for axes, (name, values) in zip(figure.subplots(len(declared), squeeze=False)[:, 0], declared.items(), strict=True):
        iterations = range(1, len(values) + 1)
        below = axes.plot(
            iterations, values, color="#56B4E9", linewidth=5 if len(values[0]) == 1 else 2.5, solid_capstyle="round"
        )
        above = axes.plot(iterations, applied[name], color="#202020", linewidth=1)
        if 0 < 100 * min(map(min, values)) < max(map(max, values)):
            axes.set_yscale("log")
        axes.set(xlabel="iteration", ylabel=name)
        epochs = axes.secondary_xaxis("top", functions=(lambda i: i / epoch_length, lambda e: e * epoch_length))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
        axes.spines["right"].set_visible(False)
    figure.legend([below[0], above[0]], ["declared", "applied"], loc="outside upper right", ncols=2, frameon=False)
    figure.savefig(path)
