"""How fast curves are evaluated: many values at once, one far away, sweeps before they run."""

import re
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from ignite.handlers import param_scheduler as ignite

from benchmarks.tables import Row, interleaved
from cosched import CosineAnnealing

FIELDS = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 1000}


def many(count: int, rounds: int) -> list[Row]:
    """A whole run, beside a cosine of as many numbers."""
    schedule, numbers = CosineAnnealing(**FIELDS, cycle_mult=1.5), np.linspace(0, np.pi, count)
    calls = {"cosched": lambda: schedule.values(range(count)), "np.cos": lambda: np.cos(numbers)}
    times = interleaved(calls, rounds)
    ratio = times["cosched"] / times["np.cos"]
    return [
        Row(f"np.cos of {count:.0e} numbers", 1e9 * times["np.cos"] / count, "ns each"),
        Row(
            f"values of {count:.0e} events",
            1e9 * times["cosched"] / count,
            "ns each",
            f"{ratio:.2f} x np.cos",
            ratio <= 3,
        ),
    ]


def beside_ignite(count: int) -> list[Row]:
    """A whole run, beside ignite's simulation of it."""
    schedule = CosineAnnealing(**FIELDS, cycle_mult=1.5)
    simulate = ignite.CosineAnnealingScheduler.simulate_values
    calls = {
        "cosched": lambda: schedule.values(range(count)),
        "ignite": lambda: simulate(count, param_name="lr", **FIELDS, cycle_mult=1.5),
    }
    times = interleaved(calls, 3)
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
        calls = {index: partial(schedule, index) for index in (10**3, 10**6, 10**9, 10**12)}
        times = {index: 1e6 * time for index, time in interleaved(calls, 201).items()}
        spread = max(times.values()) / min(times.values())
        shown = ", ".join(f"{index:.0e}: {time:.1f}" for index, time in times.items())
        rows.append(Row(f"one value, cycle_mult {mult}", max(times.values()), "us", shown, spread < 1.5))
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
from cosched.sweeps.curves import sample
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
        return [*many(10**6, 11), *many(10**7, 5), *beside_ignite(10**6), *far(), *previews()]
