"""What a start costs: every Hydra app's, ``--cfg job`` in two environments that differ in our wheel alone; a run's."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from ignite.engine import Engine

import cosched
from benchmarks.tables import Row, interleaved, seconds
from cosched.binding.domains import Domain, check
from tests.helpers import build_wheel, environment

APP = """
import hydra

@hydra.main(version_base=None)
def main(cfg):
    pass

main()
"""
RUNS = 40
LENGTHS = (10**4, 10**8, 10**12)  # events of a run


def runs() -> list[Row]:
    """The start of runs of any length: the check of all their values alone, and an engine's first iteration with it."""
    rows = []
    numbers = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 1000}
    several = {"cycle_mult": 1.5, "start_value_mult": 0.9, "end_value_mult": 0.9, "warmup_duration": 100}
    points = [(10 * i, float(i % 7)) for i in range(100_000)]
    for name, schedule in (
        ("cosine_annealing", cosched.CosineAnnealing(**numbers)),
        ("cosine_annealing with multipliers", cosched.CosineAnnealing(**numbers, **several)),
        ("piecewise_linear of 100,000 milestones", cosched.PiecewiseLinear(milestones=points)),
    ):

        def start(num_events: int, schedule: cosched.Schedule = schedule) -> float:
            optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
            engine = Engine(lambda engine, batch: engine.terminate())
            cosched.attach(engine, cosched.BoundScheduler(optimizer, schedule, "lr"))
            return seconds(lambda: engine.run([0], max_epochs=num_events, epoch_length=1))

        for what, measured in (
            ("check", lambda n, s=schedule: seconds(lambda: check(s, n, Domain(name="lr")))),
            ("engine", start),
        ):
            rounds = [{n: measured(n) for n in LENGTHS} for _ in range(21)]
            times = {n: 1e3 * statistics.median(one[n] for one in rounds) for n in LENGTHS}
            shown = ", ".join(f"{n:.0e} events: {time:.2f}" for n, time in times.items())
            met = max(times.values()) < 5 and (max(times.values()) < 2 * min(times.values()) or max(times.values()) < 1)
            rows.append(Row(f"start of a run, {what}: {name}", max(times.values()), "ms", shown, met))
    return rows


def measure() -> list[Row]:
    """The start of an app that does not use us, and an import of us."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "app.py").write_text(APP)
        pythons = {
            "without": environment(folder / "without"),
            "with": environment(folder / "with", build_wheel(folder)),
        }

        def start(python: Path) -> None:
            subprocess.run([python, "app.py", "--cfg", "job"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

        for python in pythons.values():  # the first ones compile
            start(python)
        apps = interleaved({which: lambda p=python: start(p) for which, python in pythons.items()}, RUNS)
    imports = {"nothing": "pass", "cosched": "import cosched", "CosineAnnealing": "from cosched import CosineAnnealing"}
    times = interleaved(
        {k: lambda c=code: subprocess.run([sys.executable, "-c", c]) for k, code in imports.items()}, 20
    )
    loaded = "import sys, cosched.config.schemas; sys.exit('torch' in sys.modules)"
    no_torch = subprocess.run([sys.executable, "-c", loaded]).returncode == 0
    added = 1000 * (apps["with"] - apps["without"])
    return [
        Row("start of a Hydra app without cosched", 1000 * apps["without"], "ms"),
        Row("... with cosched installed", 1000 * apps["with"], "ms", f"{added:+.1f} ms", added < 15),
        Row("import cosched", 1000 * (times["cosched"] - times["nothing"]), "ms", "no torch" * no_torch, no_torch),
        Row("from cosched import CosineAnnealing", 1000 * (times["CosineAnnealing"] - times["nothing"]), "ms"),
        *runs(),
    ]
