"""Pictures of schedules. Imports matplotlib (extra ``plot``) only here, and touches no global figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curves = dict[str, list[float]]  # name -> a value an iteration


def draw_applied(path: Path, declared: Curves, applied: Curves, epoch_length: int) -> None:
    """Save one panel per declared name: its value at every iteration, and on top of it what the optimizer held."""
    figure = Figure(figsize=(9, 1 + 2.6 * len(declared)), layout="constrained", dpi=120)
    for axes, (name, values) in zip(figure.subplots(len(declared), squeeze=False)[:, 0], declared.items(), strict=True):
        iterations = range(1, len(values) + 1)
        axes.plot(iterations, values, color="#56B4E9", linewidth=5, solid_capstyle="round", label="declared")
        axes.plot(iterations, applied[name], color="#202020", linewidth=1.2, label="applied")
        if 0 < 100 * min(values) < max(values):
            axes.set_yscale("log")
        axes.set(xlabel="iteration", ylabel=name)
        epochs = axes.secondary_xaxis("top", functions=(lambda i: i / epoch_length, lambda e: e * epoch_length))
        epochs.set_xlabel("epochs")
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
        axes.spines["right"].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    figure.savefig(path)
