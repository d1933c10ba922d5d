"""What several test modules use."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Run:
    """A finished command: its exit status and what it printed."""

    def __init__(self, *command: object, cwd: Path) -> None:
        done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def check(self) -> "Run":
        assert self.status == 0, self.out + self.err
        return self


def environment(folder: Path, *wheels: Path) -> Path:
    """The Python of a new environment that has ``wheels`` and, from this one, all that is not ours."""
    venv.create(folder)
    python = folder / "bin/python"
    site = Run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).check().out.strip()
    # A .pth adds our packages but not the .pth files among them, so the editable cosched stays out.
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if wheels:
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        Run(*pip, "install", "--no-deps", "--no-index", *wheels, cwd=folder).check()
    return python


def build_wheel(folder: Path) -> Path:
    """Our wheel, built into ``folder``."""
    Run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT).check()
    return next(folder.glob("*.whl"))


def random_parameters(rng):
    """A shape's name and parameters with which ignite does not fail within 200 events."""
    name = str(rng.choice(["CosineAnnealing", "LinearCyclical"]))
    fields = {
        "start_value": rng.uniform(1e-3, 1),
        "end_value": rng.uniform(1e-3, 1),
        "cycle_size": int(rng.integers(2, 60)),
        "cycle_mult": float(rng.choice([1, 1.5, 2, 3, rng.uniform(1, 3)])),
        "start_value_mult": float(rng.choice([1, rng.uniform(0.7, 1.1)])),
        "end_value_mult": float(rng.choice([1, rng.uniform(0.7, 1.1)])),
    }
    if name == "LinearCyclical":
        fields["monotonic"] = bool(rng.integers(2))
    if fields.get("monotonic", True):
        fields["warmup_duration"] = int(rng.choice([0, rng.integers(1, 20)]))
    return name, fields
