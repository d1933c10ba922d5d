"""Time per event above an engine without handlers, beside the peers: ``python -m benchmarks.overhead``.

Interleaved runs; each figure is the median over the rounds.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

import cosched

EVENTS, ROUNDS = {1: 10_000, 10: 10_000, 1000: 500}, 25
FIELDS = {"param_name": "lr", "start_value": 0.1, "end_value": 0.001, "cycle_size": 1000, "cycle_mult": 2}


def floor(engine: Engine, optimizer: torch.optim.Optimizer) -> None:
    """A bare loop that assigns a constant."""

    def assign(engine: Engine) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.1

    engine.add_event_handler(Events.ITERATION_STARTED, assign)


def ours(engine: Engine, optimizer: torch.optim.Optimizer) -> None:
    """Attached to the engine's clock."""
    cosched.attach(engine, cosched.CosineAnnealingScheduler(optimizer, **FIELDS))


def ours_counting(engine: Engine, optimizer: torch.optim.Optimizer) -> None:
    """Added as a handler, counting its own calls."""
    engine.add_event_handler(Events.ITERATION_STARTED, cosched.CosineAnnealingScheduler(optimizer, **FIELDS))


def ignites(engine: Engine, optimizer: torch.optim.Optimizer) -> None:
    """Ignite's own CosineAnnealingScheduler."""
    engine.add_event_handler(Events.ITERATION_STARTED, ignite.CosineAnnealingScheduler(optimizer, **FIELDS))


def torchs(engine: Engine, optimizer: torch.optim.Optimizer) -> None:
    """Torch's warm restarts through ignite's wrapper."""
    scheduler = ignite.LRScheduler(CosineAnnealingWarmRestarts(optimizer, 1000, 2, 0.001))
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)


KINDS: dict[str, Callable[[Engine, Any], None]] = {
    "empty": lambda engine, optimizer: None,
    "bare assignment": floor,
    "cosched": ours,
    "cosched, added": ours_counting,
    "ignite": ignites,
    "torch in ignite": torchs,
}


def microseconds(kind: Callable[[Engine, Any], None], groups: int) -> float:
    """One run's time per iteration."""
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]} for _ in range(groups)], lr=0.1)
    engine = Engine(lambda engine, batch: None)
    kind(engine, optimizer)
    events = EVENTS[groups]
    started = time.perf_counter()
    engine.run(range(events))
    return 1e6 * (time.perf_counter() - started) / events


for groups in EVENTS:
    rounds = [{name: microseconds(kind, groups) for name, kind in KINDS.items()} for _ in range(ROUNDS)]
    above = {name: statistics.median(r[name] - r["empty"] for r in rounds) for name in KINDS if name != "empty"}
    print(f"{groups} group(s)")
    for name, value in above.items():
        print(
            f"  {name:16} {value:8.2f} us, {value / above['ignite']:6.2f} x ignite, "
            f"{value / above['bare assignment']:6.2f} x bare assignment"
        )
