"""How fast curves are evaluated: many values at once, one after another, one far away, sweeps before they run.

Times are the least of interleaved runs: what is compared takes so little that other work on the machine shows in it.
"""

import math
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from ignite.handlers import param_scheduler as ignite
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR, LRScheduler

from benchmarks.tables import Row, interleaved, seconds
from cosched import CosineAnnealing

FIELDS = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 1000}
FAR = (10**3, 10**6, 10**9, 10**12)
STEP = "torch's warm restarts"


def many(count: int, rounds: int) -> list[Row]:
    """A whole run, beside a cosine of as many numbers."""
    schedule, numbers = CosineAnnealing(**FIELDS, cycle_mult=1.5), np.linspace(0, np.pi, count)
    calls = {"cosched": lambda: schedule.values(range(count)), "np.cos": lambda: np.cos(numbers)}
    times = interleaved(calls, rounds, min)
    ratio = times["cosched"] / times["np.cos"]
    return [
        Row(f"np.cos of {count:.0e} numbers", 1e9 * times["np.cos"] / count, "ns each"),
        Row(
            f"values of {count:.0e} events",
            1e9 * times["cosched"] / count,
            "ns each",
            f"{ratio:.2f} x np.cos",
            ratio <= 2.5,
        ),
    ]


def multipliers(count: int) -> list[Row]:
    """Every combination of multipliers, decay and warm-up over a whole run, beside a cosine of as many numbers."""
    numbers = np.linspace(0, np.pi, count)
    factors = {"start_value_mult": 0.99, "end_value_mult": 0.9, "amplitude_mult": 0.95, "warmup_duration": 500}
    chosen = [dict(c) for n in range(len(factors) + 1) for c in combinations(factors.items(), n)]
    rows = []
    for decay in (1.0, 0.9999):
        for mult in (1.0, 1.5):
            ratios = {}
            for fields in chosen:
                schedule = CosineAnnealing(**FIELDS, **fields, cycle_mult=mult, amplitude_decay=decay)
                calls = {"cosched": lambda s=schedule: s.values(range(count)), "np.cos": lambda: np.cos(numbers)}
                times = interleaved(calls, 60, min)
                ratios[", ".join(fields) or "none"] = times["cosched"] / times["np.cos"]
            slowest = max(ratios, key=lambda name: ratios[name])
            what = f"values, {len(ratios)} combinations, cycle_mult {mult:g}" + ", amplitude_decay" * (decay != 1)
            beside = f"least {min(ratios.values()):.2f}, greatest with {slowest}"
            rows.append(Row(what, ratios[slowest], "x np.cos", beside, ratios[slowest] <= 2.5))
    return rows


def walk(function: Callable[[int], object], steps: Iterable[int]) -> Callable[[], None]:
    """A call of ``function`` at each of ``steps``."""

    def call() -> None:
        for step in steps:
            function(step)

    return call


def single() -> list[Row]:
    """One value after another: in order, every 100th, anywhere; and through torch's own scheduler."""
    count, few = 10_000, 100
    anywhere = np.random.default_rng(0).integers(0, 10**9, few).tolist()
    start, end, size = FIELDS["start_value"], FIELDS["end_value"], FIELDS["cycle_size"]

    def bare(step: int) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * (step % size) / size)) / 2

    def torchs(make: Callable[[torch.optim.Optimizer], LRScheduler]) -> Callable[[], None]:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        scheduler = make(optimizer)
        optimizer.step()
        return walk(lambda _: scheduler.step(), range(few))

    calls = {
        "bare formula in math": (count, walk(bare, range(count))),
        "in order": (count, walk(CosineAnnealing(**FIELDS), range(count))),
        "every 100th": (few, walk(CosineAnnealing(**FIELDS), range(0, 100 * few, 100))),
        "anywhere": (few, walk(CosineAnnealing(**FIELDS), anywhere)),
        STEP: (few, torchs(lambda o: CosineAnnealingWarmRestarts(o, size, 1, end))),
        "a constant through LambdaLR": (few, torchs(lambda o: LambdaLR(o, lambda _: 1.0))),
        "cosched through LambdaLR": (few, torchs(lambda o: LambdaLR(o, CosineAnnealing(**FIELDS)))),
    }
    times = interleaved({name: call for name, (_, call) in calls.items()}, 200, min)
    each = {name: 1e6 * times[name] / number for name, (number, _) in calls.items()}
    ratio = each["in order"] / each["bare formula in math"]
    beside = {
        "in order": (f"{ratio:.2f} x the bare formula", ratio <= 3),
        "every 100th": ("", each["every 100th"] <= 12),
        "anywhere": ("", each["anywhere"] <= 12),
        "cosched through LambdaLR": (
            f"{each['cosched through LambdaLR'] / each[STEP]:.2f} x torch's warm restarts",
            each["cosched through LambdaLR"] < each[STEP],
        ),
    }
    return [Row(f"one value: {name}", time, "us", *beside.get(name, ())) for name, time in each.items()]


def beside_ignite(count: int) -> list[Row]:
    """A whole run, beside ignite's simulation of it."""
    schedule = CosineAnnealing(**FIELDS, cycle_mult=1.5)
    simulate = ignite.CosineAnnealingScheduler.simulate_values
    calls = {
        "cosched": lambda: schedule.values(range(count)),
        "ignite": lambda: simulate(count, param_name="lr", **FIELDS, cycle_mult=1.5),
    }
    times = interleaved(calls, 3, min)
    faster = times["ignite"] / times["cosched"]
    beside = f"{faster:.0f} times as long as our values"
    return [
        Row(
            f"ignite's simulate_values of {count:.0e} events",
            1e9 * times["ignite"] / count,
            "ns each",
            beside,
            faster >= 100,
        )
    ]


def far() -> list[Row]:
    """One value, near and far: flat in the index once the table of cycles is there."""
    rows = []
    for mult in (1, 1.001, 1.5, 2):
        schedule = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=2003, cycle_mult=mult)
        schedule(10**12)
        # Far from what was asked before, of which the value is known.
        calls = {index: walk(schedule, range(index, index + 20_000, 1000)) for index in FAR}
        times = {index: 1e6 * time / 20 for index, time in interleaved(calls, 51, min).items()}
        spread = max(times.values()) / min(times.values())
        shown = ", ".join(f"{index:.0e}: {time:.1f}" for index, time in times.items())
        rows.append(Row(f"one value, cycle_mult {mult}", max(times.values()), "us", shown, spread < 1.5))
    fields = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 10**5, "cycle_mult": 1.00001}
    slow = seconds(lambda: CosineAnnealing(**fields)(2**53 - 1))
    rows.append(Row("the first value at event 2**53 - 1, slowest growth", 1e3 * slow, "ms", "cycle_mult 1.00001"))
    return rows


def previews() -> list[Row]:
    """Sweeps before they run, and memory."""
    rows = []
    job = [
        str(Path(sys.executable).parent / "cosched-train"),
        "-m",
        "hydra/launcher=preview",
        "trainer.max_epochs=1000",
    ]
    for jobs in (1, 10, 100):
        sweep = "scheduler.end_value=" + ",".join(f"{i / 1e5}" for i in range(jobs))
        with tempfile.TemporaryDirectory() as folder:
            shown = subprocess.run([*job, sweep], cwd=folder, capture_output=True, text=True, check=True).stdout
        composing, evaluating = map(float, re.findall(r" in ([0-9.]+) s", shown))
        each = [1000 * seconds / jobs for seconds in (composing, evaluating)]
        beside = "a job: {:.0f} ms to compose, {:.1f} ms to evaluate 15,000 events".format(*each)
        rows.append(Row(f"preview of {jobs} jobs", composing + evaluating, "s", beside))
    code = f"""
import re
from pathlib import Path
from cosched import CosineAnnealing
from cosched.sweeps.sampling import sample
schedule = CosineAnnealing(**{FIELDS})
sample(schedule, 10**8)
print(int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""
    memory = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    rows.append(Row("peak memory for a curve of 1e+08 events", memory, "MB", "of the whole process"))
    return rows


def measure() -> list[Row]:
    """All of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            *many(10**6, 11),
            *many(10**7, 5),
            *multipliers(2**16),
            *single(),
            *beside_ignite(10**6),
            *far(),
            *previews(),
        ]
