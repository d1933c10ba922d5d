"""What cosched costs every Hydra app at start: ``--cfg job`` in two environments that differ in our wheel alone."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.tables import Row, interleaved
from tests.helpers import build_wheel, environment

APP = """
import hydra

@hydra.main(version_base=None)
def main(cfg):
    pass

main()
"""
RUNS = 40


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
    ]
