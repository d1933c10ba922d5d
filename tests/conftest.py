import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


class Run:
    """A finished command: its exit status and what it printed."""

    def __init__(self, *command: object, cwd: Path) -> None:
        done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def check(self) -> "Run":
        assert self.status == 0, self.out + self.err
        return self


@pytest.fixture
def sgd() -> torch.optim.SGD:
    """An optimizer of two groups."""
    return torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in (0.001, 0.01)], momentum=0.9)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has our wheel and, from this one, all that is not ours."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    Run(*wheel, cwd=ROOT).check()
    venv.create(folder / "venv")
    python = folder / "venv/bin/python"
    site = Run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).check().out.strip()
    # A .pth adds our packages but not the .pth files among them, so the editable cosched stays out.
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--no-compile"]
    Run(*install, *folder.glob("*.whl"), cwd=folder).check()
    return python
