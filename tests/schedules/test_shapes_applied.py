"""Shapes bound to an optimizer, saved, resumed, and beside other libraries' schedulers."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite
from strategies import cosine, linear, then
from torch.optim import lr_scheduler as torch_lr

import cosched
from cosched import (
    Constant,
    CosineAnnealing,
    LinearCyclical,
    lasting,
)

S = 0.1


def optimizer(lr=S):
    return torch.optim.SGD([torch.zeros(1)], lr=lr, momentum=0.9)


def test_phases_are_bound_saved_and_resumed_as_one(tmp_path):
    def build():
        phases = {
            "up": lasting(linear(0, S, 8), 8),
            "down": lasting(cosine(S, 0.01, 20), 20),
            "rest": Constant(value=0.01),
        }
        with_lr = optimizer()
        scheduler = cosched.PhasesScheduler(with_lr, "lr", phases)
        seen = []
        engine = Engine(lambda *_: seen.append(with_lr.param_groups[0]["lr"]))
        cosched.attach(engine, scheduler)
        return engine, scheduler, seen

    engine, scheduler, whole = build()
    engine.run(range(10), max_epochs=4)
    assert whole == scheduler.schedule.values(range(40)).tolist()
    torch.save(scheduler.state_dict(), tmp_path / "state.pt")
    again, resumed, rest = build()
    again.load_state_dict({"iteration": 13, "epoch_length": 10, "max_epochs": 4})
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.run(range(10))
    assert rest == whole[13:]
    other = cosched.PhasesScheduler(optimizer(), "lr", {**scheduler.declared.phases, "rest": Constant(value=0.02)})
    with pytest.raises(cosched.ConfigError, match=r"phases\.rest\.value is 0\.01 there and 0\.02 here"):
        other.load_state_dict(scheduler.state_dict())


def test_ignites_schedulers_are_attached_from_config():
    with_lr = optimizer()
    nested = {
        "_target_": "ignite.handlers.ConcatScheduler",
        "durations": [30],
        "schedulers": [
            {
                "_target_": f"{package}.{shape}Scheduler",
                "param_name": "lr",
                "start_value": 1,
                "end_value": 0,
                "cycle_size": 20,
            }
            for package, shape in (("ignite.handlers", "LinearCyclical"), ("cosched", "CosineAnnealing"))
        ],
    }
    seen = []
    engine = Engine(lambda *_: seen.append(with_lr.param_groups[0]["lr"]))
    bound = cosched.attach(engine, nested, with_lr)
    assert isinstance(bound, ignite.ConcatScheduler)
    engine.run(range(50))
    parts = [
        LinearCyclical(start_value=1, end_value=0, cycle_size=20),
        CosineAnnealing(start_value=1, end_value=0, cycle_size=20),
    ]
    np.testing.assert_allclose(seen, [*parts[0].values(range(30)), *parts[1].values(range(20))], rtol=1e-12, atol=1e-15)


def test_a_plateau_on_a_metric_is_attached_from_config():
    with_lr = optimizer()
    plateau = {
        "_target_": "ignite.handlers.ReduceLROnPlateauScheduler",
        "metric_name": "loss",
        "factor": 0.5,
        "patience": 0,
    }
    evaluator = Engine(lambda *_: None)
    evaluator.add_event_handler(Events.STARTED, lambda e: e.state.metrics.update(loss=1.0))
    cosched.attach(evaluator, plateau, with_lr, event=Events.COMPLETED)
    for _ in range(4):
        evaluator.run([0])
    assert with_lr.param_groups[0]["lr"] == S / 8


def test_an_error_inside_tells_where():
    config = {
        "_target_": "cosched.PhasesScheduler",
        "phases": {"a": {"_target_": "cosched.Phase", "shape": "constant", "value": float("nan")}},
    }
    with pytest.raises(cosched.ConfigError, match=r"^scheduler\.warm\.phases\.a: value=nan is not finite"):
        cosched.attach(Engine(lambda *_: None), {"warm": config}, optimizer())


def test_a_misspelt_field_inside_is_named():
    inner = {"_target_": "cosched.Phase", "shape": "constant", "valu": 1.0}
    config = {"_target_": "cosched.PhasesScheduler", "phases": {"a": inner}}
    with pytest.raises(cosched.ConfigError, match=r"^scheduler\.phases\.a: a phase of constant has no field 'valu'"):
        cosched.attach(Engine(lambda *_: None), config, optimizer())


def test_torchs_lambda_lr_takes_a_schedule(tmp_path):
    schedule = then((linear(0, 1, 5), 5), (cosine(1, 0, 20), None))

    def build():
        with_lr = optimizer()
        return with_lr, torch_lr.LambdaLR(with_lr, schedule)

    with_lr, scheduler = build()
    seen = []
    for step in range(30):
        if step == 12:
            torch.save(scheduler.state_dict(), tmp_path / "state.pt")
            with_lr, scheduler = build()
            scheduler.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=False))
            with_lr.param_groups[0]["lr"] = scheduler.get_last_lr()[0]
        seen.append(with_lr.param_groups[0]["lr"])
        with_lr.step()
        scheduler.step()
    np.testing.assert_allclose(seen, S * schedule.values(range(30)), rtol=1e-15)
