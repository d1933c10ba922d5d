"""What Lightning's callback refuses, and what loggers see of the values."""

import subprocess
import sys

import pytest
import torch
from lightning_helpers import COSINE, FIELDS, MARKS, fit, lightning, loader, sgd, trainer
from omegaconf import OmegaConf
from torch.optim import lr_scheduler

import cosched
from cosched import ConfigError, ScheduleCallback, TorchScheduler

pytestmark = MARKS


# Refusals


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**COSINE, "cycle_mlt": 2}, "scheduler: .* has no field 'cycle_mlt': did you mean 'cycle_mult'|no argument"),
        ({"rate": {**COSINE, "param_name": "Ir"}}, "scheduler.rate: .* names no number to schedule: did you mean 'lr'"),
        ({**COSINE, "end_value": -0.1}, "lr: lr is -0.0309017 at event 6"),
        ({**COSINE, "cycle_size": "5%"}, "cycle_size='5%' is 1 iterations where epoch_length=5, max_epochs=4"),
        ({"a": COSINE, "b": COSINE}, "lr of group back is driven twice, by a and by b"),
        ({**COSINE, "event": "iteration_completed"}, "event=.* is for ignite's engines"),
        ({**COSINE, "_target_": "os.getcwd"}, "_target_=os.getcwd would call os.getcwd"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_batch(tmp_path, node, message):
    module = lightning().Module()
    with pytest.raises(ConfigError, match=message):
        trainer(tmp_path, ScheduleCallback(node), max_epochs=4).fit(module, loader(), loader())
    assert (module.seen, module.validated) == ({}, 0)


def with_lightnings(make, **options):
    def configure(layer):
        optimizer = sgd(layer, **options)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": make(optimizer), "monitor": "score", "interval": "step"},
        }

    return configure


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda o: lr_scheduler.StepLR(o, 3), "lr", "lr of group back is driven by StepLR from configure_optimizers"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o), "lr", "lr of group back is driven by ReduceLROnPlateau"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 20), "momentum", "momentum of group back is driven by OneCycleLR"),
        (lambda o: TorchScheduler(o, {**COSINE, "param_name": "momentum"}), "momentum", "is driven by TorchScheduler"),
    ],
)
def test_a_second_scheduler_of_the_same_number_is_refused(tmp_path, make, name, message):
    with pytest.raises(ConfigError, match=message):
        fit(tmp_path, {**COSINE, "param_name": name}, lightning().Module(with_lightnings(make)), max_epochs=4)


def test_one_of_another_number_is_not(tmp_path):
    module = lightning().Module(with_lightnings(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5)))
    fit(tmp_path, {**COSINE, "param_name": "momentum"}, module, max_epochs=3)
    assert module.held("momentum") == cosched.CosineAnnealing(**FIELDS).values(range(15)).tolist()
    assert module.held("lr") == [0.1 * 0.5**i for i in range(15)]


def test_averaging_that_drives_the_rate_is_refused(tmp_path):
    averaging = lightning().callbacks.StochasticWeightAveraging(swa_lrs=0.05)
    with pytest.raises(ConfigError, match="lr: lr of group back is driven by StochasticWeightAveraging, too"):
        fit(tmp_path, COSINE, callbacks=[averaging], max_epochs=4)


def test_two_callbacks_of_one_optimizer_are_refused(tmp_path):
    callbacks = [ScheduleCallback(COSINE), ScheduleCallback({"momentum": {**COSINE, "param_name": "momentum"}})]
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `ScheduleCallback`"):
        trainer(tmp_path, *callbacks)
    run = trainer(tmp_path, callbacks[0])
    run.callbacks.append(callbacks[1])
    with pytest.raises(
        ConfigError, match="optimizer=0 has two ScheduleCallbacks: give one of them all schedulers, in a"
    ):
        run.fit(lightning().Module(), loader())


def test_an_optimizer_is_one_that_there_is(tmp_path):
    with pytest.raises(ConfigError, match="optimizer=1 is out of range: configure_optimizers gives 1, so give 0 to 0"):
        trainer(tmp_path, ScheduleCallback(COSINE, optimizer=1), max_epochs=1).fit(lightning().Module(), loader())
    for wrong in (-1, "0", True, None):
        with pytest.raises(ConfigError, match=f"optimizer={wrong!r} must be the number of an optimizer, from 0"):
            ScheduleCallback(COSINE, optimizer=wrong)


def test_a_config_is_resolved_once_when_the_callback_is_made():
    app = OmegaConf.create({"rate": 0.5, "scheduler": {**COSINE, "start_value": "${rate}"}})
    callback = ScheduleCallback(app.scheduler)
    app.rate = 0.25
    assert callback.scheduler["start_value"] == 0.5
    app.scheduler.start_value = "\\${rate}"
    with pytest.raises(ConfigError, match=r"scheduler.start_value='\$.rate.' still holds"):
        ScheduleCallback(app.scheduler)
    with pytest.raises(ConfigError, match=r"scheduler.start_value='\$.rate.' still holds"):
        ScheduleCallback({**COSINE, "start_value": "${rate}"})


# What others see of the values


def logger():
    class Kept(lightning().loggers.logger.DummyLogger):
        def __init__(self):
            super().__init__()
            self.rows = []

        def log_metrics(self, metrics, step=None):
            self.rows.append((step, dict(metrics)))

        def column(self, name):
            return [(step, row[name]) for step, row in self.rows if name in row]

    return Kept()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_lightnings_monitor_sees_the_values_wherever_it_stands(tmp_path, first, interval):
    monitor = lightning().callbacks.LearningRateMonitor(interval, log_momentum=True)
    several = {"lr": COSINE, "momentum": {**COSINE, "param_name": "momentum", "event": "EPOCH_STARTED"}}
    callbacks = [monitor, ScheduleCallback(several)] if first else [ScheduleCallback(several), monitor]
    kept = logger()
    run = trainer(tmp_path, *callbacks, logger=kept, max_epochs=3, log_every_n_steps=1)
    run.fit(lightning().Module(), loader())
    schedule, steps = cosched.CosineAnnealing(**FIELDS), range(15) if interval == "step" else range(0, 15, 5)
    assert kept.column("lr-SGD/back") == [(i, schedule(i)) for i in steps]
    assert kept.column("lr-SGD/back-momentum") == [(i, schedule(i // 5)) for i in steps]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_values_are_logged_as_any_metric(tmp_path, accumulated):
    kept = logger()
    several = {"lr": {**COSINE, "relative": True}, "eps": {**COSINE, "param_name": "eps"}}
    run = trainer(
        tmp_path,
        ScheduleCallback(several),
        logger=kept,
        max_epochs=3,
        log_every_n_steps=1,
        accumulate_grad_batches=accumulated,
    )

    def adam(layer):
        return torch.optim.Adam(
            [{"params": [layer.weight], "name": "back"}, {"params": [layer.bias], "lr": 0.5}], lr=1.0
        )

    module = lightning().Module(adam)
    run.fit(module, loader())
    for name, held in (
        ("eps", module.held("eps")),
        ("lr/back", module.held("lr")),
        ("lr/pg2", module.held("lr", group=1)),
    ):
        assert [value for _, value in kept.column(f"schedule/{name}")] == pytest.approx(held, rel=1e-6)
    assert run.callback_metrics["schedule/eps"] == pytest.approx(module.held("eps")[-1])


def test_values_are_logged_in_the_steps_that_the_trainer_logs(tmp_path):
    kept = logger()
    monitor = lightning().callbacks.LearningRateMonitor("step")
    run = trainer(tmp_path, monitor, ScheduleCallback(COSINE), logger=kept, max_epochs=3, log_every_n_steps=4)
    run.fit(lightning().Module(), loader())
    assert dict(kept.column("schedule/lr")).keys() == {3, 7, 11}
    assert dict(kept.column("schedule/lr")) == pytest.approx(dict(kept.column("lr-SGD/back")), rel=1e-6)
    run = trainer(tmp_path, ScheduleCallback(COSINE), logger=kept, max_epochs=3, log_every_n_steps=0)
    run.fit(lightning().Module(), loader())


def test_a_bare_trainer_is_not_asked_to_log(tmp_path):
    run = lightning().Trainer(barebones=True, accelerator="cpu", callbacks=[ScheduleCallback(COSINE)], max_epochs=2)
    module = lightning().Module()
    run.fit(module, loader())
    assert module.held("lr") == cosched.CosineAnnealing(**FIELDS).values(range(10)).tolist()


# Whether Lightning is there

WITHOUT = "import sys; sys.modules.update(lightning=None, pytorch_lightning=None); "


def said(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_without_lightning_only_the_callback_itself_is_refused():
    code = "import cosched; cosched.ScheduleCallback"
    assert "Drives an optimizer" in said(f"{WITHOUT}{code}; print(cosched.ScheduleCallback.__doc__)")
    code = f"{WITHOUT}{code}\ntry: cosched.ScheduleCallback(None)\nexcept ModuleNotFoundError as error: print(error)"
    assert said(code).startswith("cosched.ScheduleCallback needs lightning: pip install 'hydra-cosched[lightning]', or")


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_it_is_a_callback_of_the_package_that_the_app_has_loaded(package):
    code = f"import {package}, cosched; print(issubclass(cosched.ScheduleCallback, {package}.Callback))"
    assert said(code) == "True\n"


def test_lightning_is_not_loaded_for_anything_else():
    code = "import sys, cosched; cosched.TorchScheduler; print({'lightning', 'pytorch_lightning'} & sys.modules.keys())"
    assert said(code) == "set()\n"
