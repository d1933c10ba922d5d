"""The plain loop: it leaves what ignite's leaves, and each continues what the other has begun."""

import json
import re

import pytest
import torch
from helpers import TINY, column, composed, history, train_tiny

from cosched import ConfigError, CosineAnnealing, TorchScheduler
from cosched.digits import training
from cosched.digits.training import train

CONFIGS = {
    "one rate": "",
    "two schedulers": "+experiment=lr_and_momentum",
    "groups by name": "+param_groups.base.lr=0.1 +param_groups.fc.lr=0.01 scheduler.relative=true "
    "scheduler.start_value=1 scheduler.end_value=0.5",
    "epochs": "scheduler.event=EPOCH_STARTED scheduler.cycle_size=2",
    "percent": "scheduler=wsd",
    "no schedule": "~scheduler",
    "dropout": "model._target_=torch.nn.Sequential ~model.channels "
    "+model._args_=[{_target_:torch.nn.Flatten},{_target_:torch.nn.Dropout},{_target_:torch.nn.Linear,in_features:64,"
    "out_features:10}]",
    "moving average": "trainer.ema_momentum=0.1",
}
OTHER = {"ignite": "torch", "torch": "ignite"}


@pytest.fixture(params=OTHER)
def loop(request):
    return request.param


def left(folder):
    """All that a run leaves, but for its id, how long it took, and what torch's schedulers note in the optimizer."""
    last = max(folder.glob("*.pt"), key=lambda file: int(file.stem.rpartition("_")[2]))
    checkpoint = torch.load(last, weights_only=True)
    del checkpoint["trainer"]["run"]
    for group in checkpoint["optimizer"]["param_groups"]:
        group.pop("initial_lr", None)
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["seconds"]
    return history(folder), last.name, plain(checkpoint), metrics


def plain(value):
    """Tensors as lists, to be compared number by number."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def slow_but(*quick, without=()):
    """The names of the configs, of which only these are tried in the quick suite."""
    names = [name for name in CONFIGS if name not in without]
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("config", slow_but("groups by name", "epochs"))
def test_both_loops_leave_the_same_values_weights_and_checkpoints(tmp_path, config):
    for name in OTHER:
        options = ["trainer.max_epochs=3", "trainer.checkpoint_every=20", f"loop={name}"]
        train_tiny(tmp_path / name, *CONFIGS[config].split(), *options)
    assert len(history(tmp_path / "torch")) == 45
    assert left(tmp_path / "torch") == left(tmp_path / "ignite")


def test_the_plain_loop_steps_a_scheduler_of_torchs_after_each_update_but_the_last(tmp_path, monkeypatch):
    steps = []

    class Counted(TorchScheduler):
        def step(self, epoch=None):
            steps.append(self.optimizer.param_groups[0]["lr"])
            super().step(epoch)

    monkeypatch.setattr(training, "TorchScheduler", Counted)
    train_tiny(tmp_path, "loop=torch", "trainer.max_epochs=2")
    expected = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=2).values(range(30))
    assert column(history(tmp_path), "lr") == expected.tolist()
    assert steps[-29:] == expected[:-1].tolist()
    assert (tmp_path / "applied.png").exists()


@pytest.mark.parametrize("at", [20, 30])
@pytest.mark.parametrize("config", slow_but("percent", without=["dropout"]))  # its masks are drawn anew after a stop
def test_a_run_goes_on_in_the_other_loop_bit_by_bit(tmp_path, until, loop, config, at):
    options = [*CONFIGS[config].split(), "trainer.max_epochs=4"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    train_tiny(whole, *options)
    until(at, run, *options, f"loop={loop}")
    assert len(history(run)) == at
    train_tiny(run, *options, f"loop={OTHER[loop]}", f"resume_from={run}")
    assert left(run) == left(whole)


@pytest.mark.slow
def test_and_back_again_with_more_epochs(tmp_path, loop):
    train_tiny(tmp_path / "whole", "trainer.max_epochs=4")
    for epochs, turn in enumerate([loop, OTHER[loop], loop, OTHER[loop]], start=1):
        resumed = [f"resume_from={tmp_path / 'run'}"] if epochs > 1 else []
        train_tiny(tmp_path / "run", f"trainer.max_epochs={epochs}", f"loop={turn}", *resumed)
    assert left(tmp_path / "run") == left(tmp_path / "whole")


@pytest.mark.parametrize(("policy", "mult"), [("config", 3), ("checkpoint", 2)])
def test_another_schedule_is_refused_or_taken_as_chosen(stopped, tmp_path, policy, mult):
    options = ["loop=torch", "trainer.max_epochs=3", "scheduler.cycle_mult=3", f"resume_from={stopped}"]
    with pytest.raises(ConfigError, match=r"scheduler lr: .*cycle_mult is 2\.0 there and 3\.0 here"):
        train_tiny(tmp_path / "new", *options)
    assert not list((tmp_path / "new").iterdir())
    train_tiny(tmp_path / "new", *options, f"scheduler.on_mismatch={policy}")
    curve = CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=15, cycle_mult=mult).values(range(45))
    assert column(history(tmp_path / "new"), "lr")[30:] == curve[30:].tolist()


def test_other_durations_are_refused_before_anything_is_written(tmp_path, loop):
    train_tiny(tmp_path / "run", "scheduler=wsd", "trainer.max_epochs=1", f"loop={loop}")
    for name in OTHER:
        options = ["scheduler=wsd", "trainer.max_epochs=2", f"loop={name}", f"resume_from={tmp_path / 'run'}"]
        with pytest.raises(ConfigError, match=r"^lr: this run .* has other durations than the one"):
            train_tiny(tmp_path / "new", *options)
    assert not list((tmp_path / "new").iterdir())


def test_a_run_that_is_done_is_only_evaluated(stopped, capsys):
    before = history(stopped)
    accuracy = train_tiny(stopped, f"resume_from={stopped}", "loop=torch", "trainer.max_epochs=2")
    assert history(stopped) == before
    assert f"validation accuracy {accuracy:.4f} after 2 epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("loop=torch snapshots=true", "snapshots=true follows events that loop=torch does not have: use loop=ignite"),
        (
            "loop=torch +experiment=ema",
            "scheduler.ema.param_name=engine.state.ema_momentum is in an ignite engine, which loop=torch does not",
        ),
        ("loop=torch scheduler.end_value=-1", "lr: lr is -"),
        (
            "loop=torch scheduler.cycle_size=1 scheduler.cycle_mult=1",
            "scheduler: cycle_size=1 must be a whole number of at least 2",
        ),
    ],
)
def test_what_a_loop_cannot_do_is_refused_before_anything_is_written(tmp_path, overrides, message):
    config = composed(*TINY, *overrides.split())
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())
