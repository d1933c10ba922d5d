"""Training in this process: what the optimizer holds is what the config declares."""

import json
import re

import pytest
from helpers import TINY, column, composed, history, train_tiny

from cosched import ConfigError, CosineAnnealing, LinearCyclical, PolynomialAnnealing, SqrtAnnealing
from cosched.digits.training import train


@pytest.mark.slow
def test_the_default_run_learns_the_digits(tmp_path):
    accuracy = train(composed("trainer.progress_bar=false"), tmp_path)
    assert accuracy >= 0.97
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["val_accuracy"], metrics["epochs"], metrics["iterations"]) == (accuracy, 15, 225)


def test_a_phase_is_overridden_deleted_and_added(tmp_path):
    add = ["+cosched/phase@scheduler.phases.tail=constant", "scheduler.phases.tail.value=0.003"]
    change = [
        "scheduler.phases.decay.end_value=1e-4",
        "scheduler.phases.decay.duration=20%",
        "~scheduler.phases.warmup",
    ]
    train_tiny(tmp_path, "scheduler=wsd", "trainer.max_epochs=4", *change, *add)
    stable, decay = [0.1] * 45, LinearCyclical(start_value=0.1, end_value=1e-4, cycle_size=12, monotonic=True)
    expected = [*stable, *decay.values(range(12)), *[0.003] * 3]
    assert column(history(tmp_path), "lr") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [CosineAnnealing, SqrtAnnealing, PolynomialAnnealing])
def test_the_cool_down_is_a_choice(tmp_path, shape):
    name = re.sub("([A-Z])", r"_\1", shape.__name__).lower().strip("_")
    train_tiny(tmp_path, "scheduler=wsd", "trainer.max_epochs=2", f"cosched/phase@scheduler.phases.decay={name}")
    rates = column(history(tmp_path), "lr")
    assert rates[23:] == shape(start_value=0.1, end_value=0, cycle_size=7).values(range(7)).tolist()


def test_a_bound_may_be_another_schedules(tmp_path):
    named = ["~scheduler", "+scheduler@scheduler.lr=sgdr", "+scheduler@scheduler.beta=clr_triangular"]
    bounds = ["scheduler.beta.param_name=momentum", "scheduler.beta.start_value=${..lr.start_value}"]
    train_tiny(tmp_path, "trainer.max_epochs=1", *named, *bounds)
    assert column(history(tmp_path), "beta")[0] == 0.05


def test_a_moving_average_is_evaluated_and_its_momentum_driven(tmp_path):
    named = ["~scheduler", "+scheduler@scheduler.ema=linear_cyclical", "trainer.ema_momentum=0.5"]
    fields = {"param_name": "engine.state.ema_momentum", "start_value": 0.5, "end_value": 0.1, "cycle_size": "1ep"}
    accuracy = train_tiny(tmp_path, *named, *(f"scheduler.ema.{key}={value}" for key, value in fields.items()))
    assert accuracy > 0.8
    expected = LinearCyclical(start_value=0.5, end_value=0.1, cycle_size=15).values(range(225))
    assert column(history(tmp_path), "ema") == expected.tolist()


def test_any_optimizer_of_torch_and_no_schedule_at_all(tmp_path):
    train_tiny(tmp_path, "~scheduler", "trainer.max_epochs=1", "optimizer._target_=torch.optim.RMSprop")
    assert list(history(tmp_path)[0]) == ["iteration", "epoch", "train_loss", "val_accuracy", "val_loss"]
    assert not (tmp_path / "applied.png").exists()


MISTAKES = [
    ("+scheduler.cycle_mlt=2", "scheduler: CosineAnnealingScheduler has no field 'cycle_mlt': did you mean"),
    ("scheduler.cycle_size=1 scheduler.cycle_mult=1", "scheduler: cycle_size=1 must be a whole number of at least 2"),
    ("scheduler.cycle_size=abc", "scheduler: cycle_size='abc' is"),
    ("scheduler.param_name=Ir", "scheduler: param_name='Ir' names no number to schedule: did you mean 'lr'?"),
    ("scheduler.cycle_mult=0", "scheduler: cycle_mult=0.0 must be above 0 (and below 2**53): 1 keeps the length"),
    ("scheduler.start_value=nan", "scheduler: start_value=nan is not finite: give a finite number"),
    ("scheduler=linear_cyclical", "scheduler: Missing mandatory value: start_value"),
    ("scheduler=wsd +scheduler.phases.x.value=1", "scheduler: phases.x={'value': 1} is"),
    (
        "scheduler.cycle_size=1ep scheduler.cycle_mult=1 scheduler.event=EPOCH_STARTED",
        "lr: cycle_size='1ep' is 1 epochs where epoch_",
    ),
    ("scheduler.end_value=-1", "lr: lr is -"),
    ("optimizer._target_=torch.load", "optimizer: _target_=torch.load would call torch.load"),
    ("trainer.device=gpu", "trainer.device=gpu cannot be used here: Expected one of cpu, "),
    ("trainer.device=cpu:x", "trainer.device=cpu:x cannot be used here: Invalid device string: 'cpu:x'; auto takes"),
    ("trainer.ema_momentum=1", "trainer.ema_momentum=1.0 must be between 0 and 1, or null for no average"),
    ("trainer.max_epochs=0", "trainer.max_epochs=0 must be at least 1"),
    ("trainer.batch_size=0", "trainer.batch_size=0 must be at least 1"),
    ("resume_at=2ep", "resume_at=2ep is a point in a run: give its folder as resume_from"),
    (
        "+experiment=lr_and_momentum ~scheduler@scheduler.momentum",
        "scheduler.momentum has values, param_name, start_value, end_value, cycle_size, but no _target_ that takes "
        "them: if its option has been left out, delete them too, with ~scheduler.momentum",
    ),
    ("trainer.checkpoint_every=1e", "trainer.checkpoint_every='1e' is"),
    ("snapshots=true ~scheduler", "snapshots=true saves one checkpoint per cycle, but no scheduler here has cycles"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
@pytest.mark.slow
def test_a_mistake_stops_the_run_before_it_writes(tmp_path, overrides, message):
    config = composed(*TINY, *overrides.split())
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())
