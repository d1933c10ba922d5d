import shutil
from pathlib import Path

import pytest
from helpers import train_tiny

from cosched.digits import training


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Pictures take longer than all else in a run in this process; those in processes of their own are drawn."""
    monkeypatch.setattr(training, "draw_applied", lambda path, *_: path.touch())


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Path:
    """A run of two epochs, to be copied."""
    folder = tmp_path_factory.mktemp("once")
    train_tiny(folder, "trainer.max_epochs=2", "snapshots=true")
    return folder


@pytest.fixture
def stopped(once, tmp_path) -> Path:
    """The folder of a run of two epochs, with checkpoints at its iterations 15 and 30 and a snapshot at 15."""
    return shutil.copytree(once, tmp_path / "stopped")
