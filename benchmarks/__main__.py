"""Every figure of cosched beside its peers, measured now: ``make bench``, or ``python -m benchmarks [NAME ...]``.

Prints a table and, when all are measured, writes it to ``benchmarks/RESULTS.md``.
"""

import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

NAMES = ("overhead", "values", "startup", "compiled")
HEADER = ["what", "measured", "beside", "target met"]


def machine() -> str:
    """What it was measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"
    return f"{model}, {os.cpu_count()} cores, {accelerator}"


def main(names: list[str]) -> None:
    """Measure and print; write, if all were measured."""
    packages = ("hydra-cosched", "torch", "pytorch-ignite", "hydra-core", "numpy")
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} by `make bench` on {machine()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in packages)
        + ". Medians of interleaved runs (the least, for values); times per event are those above an engine without "
        "handlers.",
    ]
    for name in names:
        rows = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in import_module(f"benchmarks.{name}").measure())]
        lines += ["", f"## {name}", "", *(f"| {' | '.join(row)} |" for row in rows)]
    text = "\n".join(lines) + "\n"
    print(text)
    if names == list(NAMES):
        Path(__file__).with_name("RESULTS.md").write_text("# Results\n\n" + text)


main(sys.argv[1:] or list(NAMES))
