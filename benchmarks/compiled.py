"""What a new learning rate costs a compiled optimizer step, and on an accelerator a captured one."""

import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite

import cosched
from benchmarks.tables import Row, interleaved

FIELDS = {"param_name": "lr", "start_value": 1e-2, "end_value": 1e-4, "cycle_size": 50}
RATES = 50


def compilations(scheduler: type) -> int:
    """How often a compiled step of Adam is compiled while 50 rates pass."""
    counted = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        counted.append(graph)
        return graph.forward

    torch._dynamo.reset()
    weight = torch.nn.Parameter(torch.ones(5))
    optimizer = torch.optim.Adam([weight], lr=torch.tensor(1e-3), foreach=False)
    step = torch.compile(optimizer.step, backend=backend)

    def update(engine: Engine, batch: object) -> None:
        optimizer.zero_grad()
        (weight**2).sum().backward()
        step()

    engine = Engine(update)
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler(optimizer, **FIELDS))
    engine.run(range(RATES))
    return len(counted)


def captured() -> list[Row]:
    """Host time of a handler before a captured step, which must read its rate from the device."""
    weight = torch.nn.Parameter(torch.randn(64, 64, device="cuda"))
    rows = {}
    for name, scheduler in (("cosched", cosched.CosineAnnealingScheduler), ("ignite", ignite.CosineAnnealingScheduler)):
        optimizer = torch.optim.Adam([weight], lr=torch.tensor(1e-2, device="cuda"), capturable=True)
        bound = scheduler(optimizer, **FIELDS)
        rows[name] = lambda bound=bound: bound(None)
    times = interleaved(rows, 1001)
    torch.cuda.synchronize()
    return [Row(f"host time per captured step: {name}", 1e6 * time, "us") for name, time in times.items()]


def measure() -> list[Row]:
    """Ours and ignite's."""
    ours, theirs = compilations(cosched.CosineAnnealingScheduler), compilations(ignite.CosineAnnealingScheduler)
    rows = [
        Row(f"compilations over {RATES} rates: cosched", ours, "", f"ignite {theirs}", ours == 1),
        Row(f"compilations over {RATES} rates: ignite", theirs, ""),
    ]
    return rows + (captured() if torch.cuda.is_available() else [])
