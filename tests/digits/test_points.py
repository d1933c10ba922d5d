"""Which checkpoints are kept, and how one of them is chosen to go on from."""

import json
import re
import shutil

import pytest
from helpers import column, history, train_tiny

from cosched import ConfigError, Run
from cosched.digits.checkpoints import find
from cosched.digits.folder import checkpoints


def kept(folder):
    return sorted(number for number, _ in checkpoints(folder))


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("2", [56, 60]),
        ("all", [*range(7, 57, 7), 60]),
        ("{every: 1ep}", [15, 30, 45, 56, 60]),
        ("{every: 20}", [20, 40, 56, 60]),
    ],
)
def test_checkpoints_are_kept_as_asked(tmp_path, keep, expected):
    train_tiny(tmp_path, f"keep_checkpoints={keep}", "trainer.checkpoint_every=7", "trainer.max_epochs=4")
    assert kept(tmp_path) == expected


def test_what_was_to_be_kept_stays_when_the_run_goes_on(stopped):
    train_tiny(stopped, f"resume_from={stopped}", "trainer.max_epochs=5", "keep_checkpoints=1")
    assert kept(stopped) == [15, 15, 30, 75]


@pytest.mark.parametrize("keep", ["0", "-1", "true", "null", "some", "1.5", "[2]", "{}", "{every: null}", "{last: 2}"])
@pytest.mark.slow
def test_what_cannot_be_kept_is_told(tmp_path, keep):
    with pytest.raises(
        ConfigError, match=r"^keep_checkpoints=.* must be a number of at least 1, for so many last ones, "
    ):
        train_tiny(tmp_path, f"keep_checkpoints={keep}")
    with pytest.raises(ConfigError, match=r"^keep_checkpoints.every='2x' is not a duration: "):
        train_tiny(tmp_path, "keep_checkpoints={every: 2x}")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """A run of four epochs that has kept a checkpoint of each, and a snapshot."""
    folder = tmp_path_factory.mktemp("trunk")
    train_tiny(folder, "trainer.max_epochs=4", "keep_checkpoints=all", "snapshots=true")
    return folder


@pytest.mark.parametrize(
    ("at", "iteration"),
    [("2ep", 30), ("30it", 30), (30, 30), ("50%", 30), ("25.1%", 15), ("100%", 60), ("snapshot_15.pt", 15), (None, 60)],
)
def test_a_point_of_a_run_is_found(trunk, at, iteration):
    earlier = find(trunk, at)
    assert (earlier.iteration, len(earlier.rows)) == (iteration, iteration)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (
            "5ep",
            "has no checkpoint of iteration 75, which is resume_at=5ep: there are 15it (1ep), 30it (2ep), 45it (3ep)",
        ),
        ("20it", "has no checkpoint of iteration 20, which is resume_at=20it: there are 15it (1ep)"),
        (0, "has no checkpoint of iteration 0, "),
        ("7x", "resume_at='7x' is not a duration: "),
        ("nowhere.pt", "resume_at='nowhere.pt' is not a duration: "),
        ("-1ep", "resume_at='-1ep' must not be negative: "),
    ],
)
def test_a_point_that_a_run_does_not_have_is_told_with_those_that_it_has(trunk, at, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        find(trunk, at)


def test_only_the_nearest_of_many_points_are_named(trunk, tmp_path):
    folder = shutil.copytree(trunk, tmp_path / "many")
    for i in range(100, 200):
        (folder / f"checkpoint_{i}.pt").touch()
    with pytest.raises(ConfigError, match=r"there are 30it \(2ep\), 45it \(3ep\), 60it \(4ep\), 100it \(6\.667ep\)"):
        find(folder, 65)


def test_a_damaged_point_is_not_replaced_by_another(trunk, tmp_path, caplog):
    folder = shutil.copytree(trunk, tmp_path / "damaged")
    (folder / "snapshot_15.pt").write_bytes(b"")
    assert find(folder, "1ep").file.name == "checkpoint_15.pt"
    assert "snapshot_15.pt is not a good checkpoint" in caplog.text
    (folder / "checkpoint_30.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="holds no good checkpoint of iteration 30: give one, or"):
        find(folder, "2ep")


def test_a_point_needs_the_folder_of_a_run(trunk, tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"^resume_at=2ep chooses .*, but resume_from=.*\.pt is a checkpoint: leave",
    ):
        train_tiny(tmp_path / "new", "resume_at=2ep", f"resume_from={trunk / 'checkpoint_30.pt'}")
    assert not list((tmp_path / "new").iterdir())


def test_a_run_goes_on_from_a_point_and_says_so(trunk, tmp_path, capsys):
    train_tiny(tmp_path / "fork", f"resume_from={trunk}", "resume_at=2ep", "trainer.max_epochs=4")
    assert f"resumed from {trunk / 'checkpoint_30.pt'}: iteration 30, epoch 2\n" in capsys.readouterr().out
    assert history(tmp_path / "fork") == history(trunk)


def test_run_json_holds_what_is_needed_to_draw_a_run_and_where_it_left_another(trunk, tmp_path):
    fork = tmp_path / "fork"
    longer = ["scheduler=wsd", "scheduler.on_mismatch=config", "trainer.max_epochs=6"]
    for source, at in ((trunk, ["resume_at=2ep"]), (fork, [])):
        train_tiny(fork, f"resume_from={source}", *at, *longer)
        held = json.loads((fork / "run.json").read_text())
        assert held["from"]["file"] == str(trunk / "checkpoint_30.pt")
        assert held["from"]["iteration"] == 30
        assert held["from"]["run"] == json.loads((trunk / "run.json").read_text())["run"] != held["run"]
        assert (held["epoch_length"], held["max_epochs"], held["iterations"]) == (15, 6, 90)
        state = held["schedulers"]["lr"]
        assert (state["param_name"], state["event"], state["schedule"]["type"]) == ("lr", "iteration_started", "phases")
        assert Run(**state["run"]) == Run(epoch_length=15, max_epochs=6)
    assert json.loads((trunk / "run.json").read_text())["from"] is None


@pytest.mark.parametrize("loop", ["ignite", "torch"])
def test_the_curve_is_drawn_from_run_json(tmp_path, loop):
    from cosched.binding.checkpoint import from_plain, run_from_plain

    named = ["~scheduler", "+scheduler@scheduler.rate=wsd", "+scheduler@scheduler.beta=one_cycle_momentum"]
    train_tiny(tmp_path, *named, "trainer.max_epochs=2", f"loop={loop}")
    held = json.loads((tmp_path / "run.json").read_text())
    for name, state in held["schedulers"].items():
        schedule = from_plain(state["schedule"]).resolve_in(run_from_plain(state["run"]))
        assert schedule.values(range(held["iterations"])).tolist() == column(history(tmp_path), name)
