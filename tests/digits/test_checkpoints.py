"""Checkpoints: which are saved, which one is found, which are refused, and how a run goes on from one."""

import json
import random
import re
import shutil
import zipfile

import pytest
import torch
from helpers import column, history, train_tiny

from cosched import ConfigError, CosineAnnealing
from cosched.digits.checkpoints import find


def curve(cycle_mult):
    return CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=cycle_mult).values(range(45))


def rates(folder):
    return column(history(folder), "lr")


def result(folder):
    """All that a run leaves which must not depend on whether it was stopped."""
    checkpoint = torch.load(folder / "checkpoint_45.pt", weights_only=True)
    return history(folder), {name: weights.tolist() for name, weights in checkpoint["model"].items()}


def test_a_stopped_run_is_continued_bit_by_bit(stopped, tmp_path):
    train_tiny(tmp_path / "whole", "trainer.max_epochs=3")
    train_tiny(tmp_path / "elsewhere", f"resume_from={stopped}", "trainer.max_epochs=3")
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    assert result(stopped) == result(tmp_path / "elsewhere") == result(tmp_path / "whole")


def test_a_run_that_is_done_is_only_evaluated(stopped, capsys):
    before = rates(stopped)
    accuracy = train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=2")
    assert rates(stopped) == before, "nothing is lost, nothing is trained again"
    assert f"validation accuracy {accuracy:.4f} after 2 epochs" in capsys.readouterr().out


def test_a_run_that_has_done_more_than_is_asked_for_tells_one_story(stopped, tmp_path, until, capsys):
    until(40, stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    capsys.readouterr()
    accuracy = train_tiny(tmp_path / "new", f"resume_from={stopped}", "trainer.max_epochs=2")
    resumed, only, result = capsys.readouterr().out.splitlines()
    assert resumed == f"resumed from {stopped / 'checkpoint_40.pt'}: iteration 40, epoch 3"
    assert only == "it has done 40 iterations (2.67 epochs), and trainer.max_epochs=2 asks for no more: only evaluating"
    assert result.startswith(f"validation accuracy {accuracy:.4f} after 40 iterations (2.67 epochs) in ")
    assert json.loads((tmp_path / "new/run.json").read_text())["iterations"] == 40 == len(history(tmp_path / "new"))


def test_two_checkpoints_are_kept_and_one_snapshot_per_cycle(tmp_path):
    saved = ["snapshots=true", "scheduler.cycle_size=10it", "trainer.checkpoint_every=7", "trainer.max_epochs=3"]
    train_tiny(tmp_path / "whole", *saved)
    expected = ["checkpoint_42.pt", "checkpoint_45.pt", "snapshot_10.pt", "snapshot_30.pt"]
    assert sorted(path.name for path in (tmp_path / "whole").glob("*.pt")) == expected
    resumed = [f"resume_from={tmp_path / 'whole/snapshot_10.pt'}", "scheduler.cycle_size=10it"]
    train_tiny(tmp_path / "again", *resumed, "trainer.max_epochs=3")
    assert result(tmp_path / "again") == result(tmp_path / "whole"), "from the middle of an epoch"


def test_a_changed_schedule_stops_it(stopped, tmp_path):
    with pytest.raises(
        ConfigError, match=r"scheduler lr: .*cycle_mult is 2\.0 there and 3\.0 here.*on_mismatch=config"
    ):
        train_tiny(tmp_path / "new", f"resume_from={stopped}", "scheduler.cycle_mult=3")


@pytest.mark.parametrize(("policy", "mult"), [("config", 3), ("checkpoint", 2)])
def test_or_goes_on_as_chosen(stopped, tmp_path, policy, mult):
    choice = ["scheduler.cycle_mult=3", f"scheduler.on_mismatch={policy}", "trainer.max_epochs=3"]
    train_tiny(tmp_path / "new", f"resume_from={stopped}", *choice)
    assert rates(tmp_path / "new") == [*curve(2)[:30], *curve(mult)[30:]]
    assert (tmp_path / "new/applied.png").exists()


def test_renamed_schedulers_are_the_configs_if_it_says_so(stopped, tmp_path):
    named = ["~scheduler", "+scheduler@scheduler.rate=digits", "trainer.max_epochs=3"]
    with pytest.raises(ConfigError, match=r"but this config makes .*scheduler rate: use"):
        train_tiny(tmp_path / "new", f"resume_from={stopped}", *named)
    train_tiny(tmp_path / "new", f"resume_from={stopped}", *named, "scheduler.rate.on_mismatch=config")
    assert [float(row["rate"] or "nan") for row in history(tmp_path / "new")][30:] == curve(2)[30:].tolist()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.batch_size=6"], "epochs of 15 iterations, and this one of 30: keep trainer.batch_size"),
        (["model.channels=3"], "(?s)model: .*size mismatch"),
        (["+scheduler@scheduler.beta=digits", "~scheduler"], "holds .*scheduler lr, but .*scheduler beta: use"),
        (
            ["trainer.ema_momentum=0.1"],
            "holds trainer, model, optimizer, scheduler lr, but this config makes .*average",
        ),
    ],
)
def test_another_config_is_refused(stopped, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        train_tiny(tmp_path / "new", f"resume_from={stopped}", *overrides)
    assert not list((tmp_path / "new").iterdir())


def test_the_last_good_checkpoint_is_found(stopped, caplog):
    earlier = find(stopped)
    assert (earlier.file.name, earlier.iteration, len(earlier.rows)) == ("checkpoint_30.pt", 30, 30)
    earlier.file.write_bytes(earlier.file.read_bytes()[:1000])
    assert (find(stopped).iteration, len(find(stopped).rows)) == (15, 15)
    assert "checkpoint_30.pt is not a good checkpoint of a run: File is not a zip file" in caplog.text
    assert find(stopped / "checkpoint_15.pt").file == stopped / "checkpoint_15.pt"
    for file in stopped.glob("*_15.pt"):
        file.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"checkpoint_15\.pt is not a good checkpoint of a run: "):
        find(stopped / "checkpoint_15.pt")
    with pytest.raises(
        ConfigError, match=r"resume_from=.*stopped holds no good checkpoint: give one, or the folder of"
    ):
        find(stopped)


@pytest.mark.parametrize("name", ["weights_999.pt", "checkpoint_²³.pt", "checkpoint_.pt", "checkpoint_1e9.pt"])
def test_files_that_are_not_named_as_checkpoints_are_passed_over(stopped, name):
    torch.save({"trainer": {}}, stopped / name)
    (stopped / "checkpoint_99.pt").mkdir()
    assert find(stopped).iteration == 30


@pytest.mark.parametrize("value", ["3", "true", "[]", "nowhere", "{a: 1}", "''"])
def test_what_is_not_a_run_is_refused(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    what = "(holds no good checkpoint: give one|does not exist: give a checkpoint), or the folder of a run"
    with pytest.raises(ConfigError, match=f"resume_from=.* {what}"):
        train_tiny(tmp_path / "new", f"resume_from={value}")


def test_a_folder_may_have_a_number_for_a_name(stopped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stopped.rename("3")
    train_tiny(tmp_path / "3", "resume_from=3", "trainer.max_epochs=3")
    assert rates(tmp_path / "3") == curve(2).tolist()


FOREIGN = {
    "trainer.iteration": [-1, 0, 1.5, 30.0, True, "30", None, [30]],
    "trainer.epoch_length": [0, -15, 15.0, "15", None, True],
    "trainer.max_epochs": [0, 2.5, "2", None],
    "trainer.run": [3, None, "another", ["x"]],
    "trainer": [None, 3, [], {}, "abc"],
    "model.fc.bias": [torch.full((10,), float("nan")), torch.full((10,), float("inf"))],
    "model": [None, 3, [1]],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in FOREIGN.items() for value in values])
def test_a_foreign_checkpoint_is_told_and_the_one_before_it_taken(stopped, path, value):
    file = stopped / "checkpoint_30.pt"
    state = torch.load(file, weights_only=True)
    first, _, second = path.partition(".")
    if second:
        state[first][second] = value
    else:
        state[first] = value
    torch.save(state, file)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))} is "):
        find(file)
    assert find(stopped).iteration == 15


@pytest.mark.parametrize("content", [None, 3, [], torch.zeros(3), {}, {"trainer": 3}, {"model": {}}])
def test_a_file_that_holds_something_else_is_told(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint_1.pt")
    with pytest.raises(ConfigError, match="is not a good checkpoint of a run: "):
        find(tmp_path / "checkpoint_1.pt")


@pytest.mark.parametrize("key", ["model", "optimizer", "scheduler lr"])
def test_a_part_of_another_kind_is_told(stopped, key):
    file = stopped / "checkpoint_30.pt"
    state = torch.load(file, weights_only=True)
    for value in (None, 3, [], {}, {"param_groups": 3, "state": 3}, {"param_groups": [], "state": {}}):
        torch.save({**state, key: value}, file)
        with pytest.raises(ConfigError, match=re.escape(str(file))):
            train_tiny(stopped, f"resume_from={file}", "trainer.max_epochs=3")


def test_the_checkpoint_of_another_run_is_told_and_passed_over(stopped, tmp_path):
    train_tiny(tmp_path / "other", "trainer.max_epochs=3")
    shutil.copy(tmp_path / "other/checkpoint_45.pt", stopped)
    message = r"checkpoint_45\.pt is not of the run whose history\.csv is beside it, as run\.json says: move it into"
    with pytest.raises(ConfigError, match=message):
        find(stopped / "checkpoint_45.pt")
    assert find(stopped).iteration == 30
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=3")
    assert (stopped / "set_aside_1/checkpoint_45.pt").exists()
    assert rates(stopped) == curve(2).tolist()


def altered(content, bit):
    """The content with one of its bits the other way round."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("flips", [30, pytest.param(400, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_seen_or_changes_nothing(stopped, flips):
    file, rng = stopped / "checkpoint_30.pt", random.Random(flips)
    content = file.read_bytes()
    sound = find(file).state
    seen = 0
    for _ in range(flips):
        file.write_bytes(altered(content, rng.randrange(len(content) * 8)))
        try:
            state = find(file).state
        except ConfigError:
            seen += 1
            continue
        assert {key: repr(value) for key, value in state.items()} == {key: repr(value) for key, value in sound.items()}
    print(f"{seen} of {flips} flipped bits were seen, the others changed nothing that is loaded")
    assert seen > flips / 2


def test_weights_that_a_flipped_bit_makes_a_folder_are_not_read_as_zeros(stopped):
    file = stopped / "checkpoint_30.pt"
    content = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        [part] = [part for part in archive.infolist() if part.filename.endswith("/data/0")]
        entry = content.index(b"PK\x01\x02", archive.start_dir)
    while not content[entry + 46 :].startswith(part.filename.encode()):
        entry = content.index(b"PK\x01\x02", entry + 1)
    file.write_bytes(altered(content, (entry + 38) * 8 + 4))  # the attributes, as MS-DOS has them
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
    with pytest.raises(ConfigError, match=r"data/0'\] is damaged$"):
        find(file)
