import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import train_tiny
from ignite.engine import Events

from cosched.digits import training
from cosched.digits.stopping import Stop, Stopped


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


@pytest.fixture
def until(monkeypatch):
    """Run the main job, tiny, until it has a signal in a given iteration."""

    def run(at: int, folder: Path, *overrides: str) -> None:
        class Ended(Stop):
            def __init__(self, trainer):
                super().__init__(trainer)
                trainer.add_event_handler(Events.ITERATION_STARTED(once=at), signal.raise_signal, signal.SIGTERM)

        with monkeypatch.context() as patched:
            patched.setattr(training, "Stop", Ended)
            with pytest.raises(Stopped, match="stopped by SIGTERM"):
                train_tiny(folder, *overrides)

    return run


@pytest.fixture
def stop_when(tmp_path):
    """Send a command a signal once a history has some rows; what it has printed."""

    def stop(file: str, *command: object, number: int = signal.SIGTERM) -> str:
        said = tmp_path / "said.txt"
        with said.open("w") as to, subprocess.Popen(command, cwd=tmp_path, stdout=to, stderr=to) as process:
            while not ((tmp_path / file).exists() and len((tmp_path / file).read_text().splitlines()) > 20):
                assert process.poll() is None, said.read_text()
                time.sleep(0.02)
            process.send_signal(number)
            assert process.wait() == 128 + number, said.read_text()
        return said.read_text()

    return stop
