"""Runs that a signal ends: after the iteration, with a checkpoint, in all ranks; a second signal waits for nothing."""

import signal
import subprocess

import pytest
from helpers import JOB, TINY, history, train_tiny
from ignite.engine import Engine, Events

from cosched.digits.folder import checkpoints
from cosched.digits.stopping import Stop, Stopped, listening


@pytest.fixture(autouse=True)
def untouched():
    """Afterwards, a signal does what it did before."""
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_engine_ends_after_the_iteration(number):
    done = []

    def step(engine, batch):
        if engine.state.iteration == 3:
            signal.raise_signal(number)
        done.append(engine.state.iteration)

    engine = Engine(step)
    stop = Stop(engine)
    completed = []
    engine.add_event_handler(Events.COMPLETED, lambda: completed.append(engine.state.iteration))
    with listening(stop.hear):
        engine.run(range(5), max_epochs=4)
    assert (done, completed, stop.number) == ([1, 2, 3], [3], number)


def test_a_second_signal_waits_for_nothing():
    done = []

    def step(engine, batch):
        done.append(engine.state.iteration)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("after")

    engine = Engine(step)
    stop = Stop(engine)
    with pytest.raises(Stopped, match="stopped by SIGINT"), listening(stop.hear):
        engine.run(range(5))
    assert done == [1]


@pytest.mark.parametrize("at", [7, 15, 20])
def test_a_run_saves_a_last_checkpoint_says_how_to_go_on_and_does(tmp_path, until, capsys, at):
    train_tiny(tmp_path / "whole", "trainer.max_epochs=2")
    until(at, tmp_path / "run", "trainer.max_epochs=2")
    assert checkpoints(tmp_path / "run")[0][0] == at == len(history(tmp_path / "run"))
    run = tmp_path / "run"
    assert capsys.readouterr().err == (
        f"stopped by SIGTERM, the last checkpoint is of iteration {at}: continue with\n"
        f"  cosched-train hydra.run.dir={run} resume_from={run}\n"
    )
    train_tiny(tmp_path / "run", f"resume_from={tmp_path / 'run'}", "trainer.max_epochs=2")
    assert history(tmp_path / "run") == history(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["null", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_alone_stops_all_of_its_processes(tmp_path, stop_when, number, ranks):
    command = [JOB, *TINY, "trainer.max_epochs=5000", f"distributed.nproc_per_node={ranks}", "hydra.run.dir=run"]
    said = stop_when("run/history.csv", *command, number=number)
    last = checkpoints(tmp_path / "run")[0][0]
    assert f"stopped by {number.name}, the last checkpoint is of iteration {last}: continue with" in said
    assert "Traceback" not in said
    assert len(history(tmp_path / "run")) == last
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert not left
