"""Time per event above an engine without handlers, beside the peers."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

import cosched
from benchmarks.tables import Row, seconds

EVENTS, ROUNDS = {1: 50_000, 10: 50_000, 1000: 2000}, 15  # enough for the start of a run to vanish
FIELDS = {"param_name": "lr", "start_value": 0.1, "end_value": 0.001, "cycle_size": 1000}

Bind = Callable[[Engine, Any, float], None]


def floor(engine: Engine, optimizer: torch.optim.Optimizer, mult: float) -> None:
    """A bare loop that assigns a constant."""

    def assign(engine: Engine) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.1

    engine.add_event_handler(Events.ITERATION_STARTED, assign)


def ours(engine: Engine, optimizer: torch.optim.Optimizer, mult: float) -> None:
    """Attached to the engine's clock."""
    cosched.attach(engine, cosched.CosineAnnealingScheduler(optimizer, **FIELDS, cycle_mult=mult))


def ours_counting(engine: Engine, optimizer: torch.optim.Optimizer, mult: float) -> None:
    """Added as a handler, counting its own calls."""
    scheduler = cosched.CosineAnnealingScheduler(optimizer, **FIELDS, cycle_mult=mult)
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)


def ignites(engine: Engine, optimizer: torch.optim.Optimizer, mult: float) -> None:
    """Ignite's own CosineAnnealingScheduler."""
    scheduler = ignite.CosineAnnealingScheduler(optimizer, **FIELDS, cycle_mult=mult)
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)


def torchs(engine: Engine, optimizer: torch.optim.Optimizer, mult: float) -> None:
    """Torch's warm restarts through ignite's wrapper."""
    scheduler = ignite.LRScheduler(CosineAnnealingWarmRestarts(optimizer, 1000, int(mult), 0.001))
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)


KINDS: dict[str, Bind] = {
    "empty": lambda engine, optimizer, mult: None,
    "bare assignment": floor,
    "cosched": ours,
    "cosched, counting its calls": ours_counting,
    "ignite": ignites,
    "torch through ignite": torchs,
}


def microseconds(kind: Bind, groups: int, mult: float) -> float:
    """One run's time per iteration."""
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]} for _ in range(groups)], lr=0.1)
    engine = Engine(lambda engine, batch: None)
    kind(engine, optimizer, mult)
    return 1e6 * seconds(lambda: engine.run(range(EVENTS[groups]))) / EVENTS[groups]


def measure() -> list[Row]:
    """A row for each number of groups, multiplier and kind; medians over the rounds."""
    rows = []
    for groups in EVENTS:
        for mult in (1.0, 1.5):
            kinds = {name: kind for name, kind in KINDS.items() if kind is not torchs or mult == int(mult)}
            rounds = [{name: microseconds(kind, groups, mult) for name, kind in kinds.items()} for _ in range(ROUNDS)]
            above = {name: statistics.median(r[name] - r["empty"] for r in rounds) for name in kinds if name != "empty"}
            for name, value in above.items():
                to_ignite, to_floor = value / above["ignite"], value / above["bare assignment"]
                target = {1: to_ignite <= 0.6, 1000: to_floor <= 1.1}.get(groups) if name == "cosched" else None
                beside = f"{to_ignite:.2f} x ignite, {to_floor:.2f} x bare assignment"
                rows.append(Row(f"{groups} groups, cycle_mult {mult:g}: {name}", value, "us", beside, target))
    return rows
