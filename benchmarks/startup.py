"""What cosched costs every Hydra app at start: ``python -m benchmarks.startup`` in the repository's root.

Interleaved runs of an app's ``--cfg job`` in two environments that differ in our wheel alone.
"""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.conftest import build_wheel, environment

APP = """
import hydra

@hydra.main(version_base=None)
def main(cfg):
    pass

main()
"""
RUNS = 60

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "app.py").write_text(APP)
    pythons = {"without": environment(folder / "without"), "with": environment(folder / "with", build_wheel(folder))}
    seconds: dict[str, list[float]] = {which: [] for which in pythons}
    for run in range(RUNS + 2):
        for which, python in pythons.items():
            started = time.perf_counter()
            subprocess.run([python, "app.py", "--cfg", "job"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            if run >= 2:  # the first ones compile
                seconds[which].append(time.perf_counter() - started)
    medians = {which: statistics.median(times) for which, times in seconds.items()}
    for which, median in medians.items():
        print(f"{which:8} cosched: {1000 * median:.0f} ms, median of {RUNS} interleaved runs")
    added = medians["with"] - medians["without"]
    print(f"added: {1000 * added:.1f} ms, {medians['with'] / medians['without']:.3f} times the start without")
