"""Draws the README's picture: ``python docs/draw.py docs/curves.png``."""

import sys

from matplotlib.figure import Figure

from cosched import CosineAnnealing, LinearCyclical

events = range(700)
panels = {
    "cosine_annealing, cycle_mult": {
        f"{mult}": CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=100, cycle_mult=mult)
        for mult in (1, 1.5, 2)
    },
    "cosine_annealing with warm-up, start_value_mult": {
        f"{mult}": CosineAnnealing(
            start_value=0.1, end_value=0.001, cycle_size=100, start_value_mult=mult, warmup_duration=25
        )
        for mult in (1, 0.8, 0.6)
    },
    "linear_cyclical": {
        "monotonic": LinearCyclical(start_value=0.001, end_value=0.1, cycle_size=175, monotonic=True),
        "triangle": LinearCyclical(start_value=0.001, end_value=0.1, cycle_size=175),
        "num_cycles=2": LinearCyclical(start_value=0.001, end_value=0.05, cycle_size=175, num_cycles=2),
    },
}

figure = Figure(figsize=(13, 4), layout="constrained", dpi=110)
for axes, (title, schedules) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
    for (label, schedule), color in zip(schedules.items(), ("#56B4E9", "#D55E00", "#202020"), strict=True):
        axes.plot(events, schedule.values(events), label=label, color=color, linewidth=1.8)
    axes.set(title=title, xlabel="event (iteration or epoch)")
    axes.grid(alpha=0.3)
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, handlelength=1.2)
figure.axes[0].set_ylabel("learning rate")
figure.savefig(sys.argv[1])
