"""Whose folder it is: used ones, two runs at once, runs resumed in place, and what a kill leaves behind."""

import json
import logging
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from helpers import SERVER, history, train_tiny

from cosched import ConfigError
from cosched.digits import folder as module
from cosched.digits import training
from cosched.digits.folder import LogFile, alone_in, begin, checkpoints, replacing, run_of, tell


def contents(folder):
    """Every file below ``folder``, and when it was written."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def saved_run(file):
    return torch.load(file, weights_only=True)["trainer"]["run"]


def test_the_id_of_a_run_is_its_own_and_in_each_checkpoint(stopped, tmp_path):
    assert run_of(tmp_path) is None
    run = run_of(stopped)
    assert {saved_run(file) for file in stopped.glob("*.pt")} == {run}
    train_tiny(tmp_path / "other", "trainer.max_epochs=1")
    assert run_of(tmp_path / "other") != run


def test_a_run_keeps_its_id_where_it_is_and_gets_another_elsewhere(stopped, tmp_path):
    run = run_of(stopped)
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    assert (run_of(stopped), saved_run(stopped / "checkpoint_45.pt")) == (run, run)
    train_tiny(tmp_path / "fork", f"resume_from={stopped}", "trainer.max_epochs=4")
    assert run_of(tmp_path / "fork") == saved_run(tmp_path / "fork/checkpoint_60.pt") != run


@pytest.mark.parametrize("source", [None, "elsewhere", "stopped/set_aside_1"])
def test_a_folder_with_checkpoints_takes_no_other_run(stopped, tmp_path, source):
    begin(stopped, run_of(stopped), 29)  # which sets the last one aside
    resumed = [f"resume_from={tmp_path / source}"] if source else []
    if source == "elsewhere":
        train_tiny(tmp_path / source, "trainer.max_epochs=1")
    before = contents(stopped)
    message = f"{stopped} has the checkpoints of a run (snapshot_15.pt, checkpoint_15.pt): continue that run with "
    message += f"hydra.run.dir={stopped} resume_from={stopped}, or choose another folder with hydra.run.dir"
    with pytest.raises(ConfigError, match=re.escape(message)):
        train_tiny(stopped, *resumed, "trainer.max_epochs=3")
    assert contents(stopped) == before


def test_what_a_killed_run_left_before_its_first_checkpoint_is_replaced(tmp_path):
    (tmp_path / "history.csv").write_text("iteration,epoch,lr,train_loss\n1,1,0.1,2.5\n")
    (tmp_path / "run.json").write_text('{"run": "gone"}\n')
    train_tiny(tmp_path, "trainer.max_epochs=1")
    assert len(history(tmp_path)) == 15
    assert run_of(tmp_path) not in ("gone", None)


REFUSED = ["scheduler.cycle_size=8", "scheduler.end_value=-1 scheduler.on_mismatch=config", "model.channels=2"]


@pytest.mark.parametrize("overrides", [*REFUSED, "trainer.batch_size=6", "snapshots=true ~scheduler"])
def test_a_refused_resume_writes_nothing(stopped, overrides):
    before = contents(stopped)
    with pytest.raises(ConfigError):
        train_tiny(stopped, f"resume_from={stopped / 'checkpoint_15.pt'}", "trainer.max_epochs=3", *overrides.split())
    assert contents(stopped) == before


@pytest.mark.parametrize("file", ["checkpoint_15.pt", "snapshot_15.pt"])
def test_later_checkpoints_are_set_aside_with_their_rows(stopped, tmp_path, capsys, file):
    later, rows = (stopped / "checkpoint_30.pt").read_bytes(), history(stopped)
    longer = ["trainer.max_epochs=3", "trainer.checkpoint_every=20"]
    train_tiny(stopped, f"resume_from={stopped / file}", *longer)
    said = capsys.readouterr().out
    assert f"resumed from {stopped / file}: iteration 15, epoch 1\n" in said
    assert f"set aside in {stopped / 'set_aside_1'}: checkpoint_30.pt\n" in said
    assert [number for number, _ in checkpoints(stopped)] == [45, 40, 15, 15]
    assert (stopped / "set_aside_1/checkpoint_30.pt").read_bytes() == later
    assert history(stopped / "set_aside_1") == rows
    train_tiny(tmp_path / "again", f"resume_from={stopped / 'set_aside_1'}", *longer)
    assert history(tmp_path / "again") == history(stopped), "what is set aside can be resumed"
    train_tiny(stopped, f"resume_from={stopped / file}", *longer)
    assert {path.name for path in (stopped / "set_aside_2").glob("*.pt")} == {"checkpoint_40.pt", "checkpoint_45.pt"}


def test_a_rewound_run_that_is_killed_goes_on_from_where_it_was_rewound_to(stopped, monkeypatch):
    def killed(trainer, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.History, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(stopped, f"resume_from={stopped / 'snapshot_15.pt'}", "trainer.max_epochs=3")
    assert [number for number, _ in checkpoints(stopped)] == [15, 15]
    assert len(history(stopped)) == 15


def test_what_is_printed_to_nobody_fails_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody:
        for _ in range(2):
            tell("text", nobody)
    with Path("/dev/full").open("w") as full:
        tell("text", full)


def test_what_a_refused_run_has_logged_is_not_written(tmp_path):
    handlers = [LogFile(str(tmp_path / name)) for name in ("refused.log", "kept.log")]
    for handler in handlers:
        handler.handle(logging.makeLogRecord({"msg": "before"}))
    assert not list(tmp_path.iterdir())
    handlers[1].begin()
    for handler in handlers:
        handler.handle(logging.makeLogRecord({"msg": "after"}))
        handler.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept.log": "before\nafter\n"}


def test_one_run_at_a_time_writes_into_a_folder(tmp_path):
    with alone_in(tmp_path):
        with pytest.raises(ConfigError, match=f"another run is writing into {tmp_path}: wait for its end, or choose"):
            train_tiny(tmp_path, "trainer.max_epochs=1")
        assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]
    with alone_in(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def hold(folder):
    with alone_in(folder):
        (folder / "held").touch()
        time.sleep(600)


def test_the_folder_of_a_killed_run_is_free(tmp_path):
    process = SERVER.Process(target=hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        assert process.is_alive()
        time.sleep(0.01)
    with pytest.raises(ConfigError, match="another run is writing"), alone_in(tmp_path):
        pass
    process.kill()
    process.join()
    assert (process.exitcode, (tmp_path / "run.lock").exists()) == (-signal.SIGKILL, True)
    with alone_in(tmp_path):
        pass


def test_a_lock_that_has_just_been_removed_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module.fcntl, "flock", lambda *_: (tmp_path / "run.lock").unlink())
    with pytest.raises(ConfigError, match="another run is writing"), alone_in(tmp_path):
        pass


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(module.fcntl, "flock", unsupported)
    with alone_in(tmp_path):
        assert "cannot be locked ([Errno 38] Function not implemented): let no other run write there" in caplog.text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(TypeError), replacing(file) as part:
        part.write_bytes("no bytes")
    assert (file.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)
    with replacing(file) as part:
        part.write_text("new")
    assert (file.read_text(), len(list(tmp_path.iterdir()))) == ("new", 1)


def test_what_a_kill_left_half_written_is_removed_and_nothing_else(stopped):
    ours = [stopped / f"{name}.part" for name in ("checkpoint_45.pt", "snapshot_45.pt", "history.csv", "run.json")]
    others = [stopped / name for name in ("mine.part", "tmpnotes1", "weights_1.pt.part")]
    for path in (*ours, *others):
        path.touch()
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": 3}', '{"run": ["x"]}', "\udcff"])
def test_a_damaged_id_is_an_error(stopped, text):
    (stopped / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"run\.json is damaged \(.*\): restore it, or resume from another folder$"):
        train_tiny(stopped, f"resume_from={stopped / 'checkpoint_15.pt'}")


def test_a_run_of_an_earlier_version_has_no_id_and_goes_on(stopped):
    (stopped / "run.json").unlink()
    for file in stopped.glob("*.pt"):
        state = torch.load(file, weights_only=True)
        del state["trainer"]["run"]
        torch.save(state, file)
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    assert json.loads((stopped / "run.json").read_text())["run"] is None
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=4")
    assert len(history(stopped)) == 60
