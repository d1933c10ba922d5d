"""Lightning's trainer turns the clock: values at each update, several optimizers, resumed runs."""

import math

import pytest
import torch
from lightning_helpers import BATCHES, COSINE, FIELDS, MARKS, fit, lightning, loader, trainer
from omegaconf import OmegaConf

import cosched
from cosched import ConfigError, ScheduleCallback

pytestmark = MARKS

SEVERAL = """
lr:
  _target_: cosched.PhasesScheduler
  param_name: lr
  phases:
    warmup: {_target_: cosched.Phase, shape: polynomial_annealing, start_value: 0, end_value: 0.1, duration: 1ep}
    decay: {_target_: cosched.Phase, shape: cosine_annealing, start_value: 0.1, end_value: 0, cycle_size: 50%}
momentum: {_target_: cosched.LinearCyclicalScheduler, param_name: momentum, start_value: 0.9, end_value: 0.8,
           cycle_size: 2, event: EPOCH_STARTED}
decay: {_target_: cosched.ConstantScheduler, param_name: weight_decay, value: 0.5, param_group: "back*"}
"""
# Values


@pytest.mark.parametrize("accumulated", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [{"max_epochs": 4}, {"max_steps": 7}, {"max_epochs": 9, "max_steps": 8}])
def test_the_optimizer_holds_the_schedules_values_at_every_update(tmp_path, accumulated, length):
    module = fit(tmp_path, OmegaConf.create(SEVERAL), accumulate_grad_batches=accumulated, **length)
    epoch_length = math.ceil(BATCHES / accumulated)  # the last batches of an epoch make an update, however few they are
    updates = min(length.get("max_steps", 99), epoch_length * length.get("max_epochs", 99))
    warmup = cosched.PolynomialAnnealing(start_value=0, end_value=0.1, cycle_size=max(epoch_length, 2))
    decay = cosched.CosineAnnealing(start_value=0.1, end_value=0, cycle_size=updates // 2, num_cycles=1)
    lr = [warmup(i) if i < epoch_length else decay(i - epoch_length) for i in range(updates)]
    momentum = cosched.LinearCyclical(start_value=0.9, end_value=0.8, cycle_size=2)
    assert module.held("lr") == module.held("lr", group=1) == lr
    assert module.held("momentum") == [momentum(i // epoch_length) for i in range(updates)]
    assert module.epochs() == [i // epoch_length for i in range(updates)]
    assert (module.held("weight_decay"), module.held("weight_decay", group=1)) == ([0.5] * updates, [0] * updates)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_pure_schedule_drives_the_rate(tmp_path, accumulated):
    schedule = cosched.CosineAnnealing(**{**FIELDS, "cycle_size": "50%"})
    module = fit(tmp_path, schedule, max_epochs=4, accumulate_grad_batches=accumulated)
    updates = 4 * math.ceil(BATCHES / accumulated)
    assert module.held("lr") == schedule.resolve(max_iters=updates).values(range(updates)).tolist()


def test_no_scheduler_is_no_schedule(tmp_path):
    assert fit(tmp_path, None, max_epochs=1).held("lr") == [0.1] * BATCHES


def test_tensors_are_filled_in_place(tmp_path):
    rate = torch.tensor(0.5, dtype=torch.float64)
    module = lightning().Module(lambda layer: torch.optim.SGD(layer.parameters(), lr=rate))
    fit(tmp_path, COSINE, module, max_epochs=2)
    assert list(map(float, module.held("lr"))) == cosched.CosineAnnealing(**FIELDS).values(range(10)).tolist()
    assert module.optimizers(use_pl_optimizer=False).param_groups[0]["lr"] is rate


def test_groups_that_are_added_on_the_way_are_driven_from_their_first_update(tmp_path):
    class Unfreezing(lightning().Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.optimizers[0].add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 7.0})

    module = lightning().Module(lambda layer: torch.optim.SGD(layer.parameters(), lr=0.1))
    fit(tmp_path, COSINE, module, callbacks=[Unfreezing()], max_epochs=2)
    later = [groups[1]["lr"] for _, groups in module.seen[0] if len(groups) > 1]
    assert later == cosched.CosineAnnealing(**FIELDS).values(range(5, 10)).tolist()


def test_a_run_whose_epochs_have_no_known_length_counts_updates_and_epochs(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(torch.randn(3, 2))

    rate, momentum = {**COSINE, "cycle_size": 7}, {**COSINE, "param_name": "momentum", "event": "EPOCH_STARTED"}
    data, module = torch.utils.data.DataLoader(Stream(), batch_size=1), lightning().Module()
    trainer(tmp_path, ScheduleCallback({"lr": rate, "momentum": momentum}), max_epochs=4).fit(module, data)
    assert module.held("lr") == cosched.CosineAnnealing(**{**FIELDS, "cycle_size": 7}).values(range(12)).tolist()
    assert module.held("momentum") == [cosched.CosineAnnealing(**FIELDS)(i // 3) for i in range(12)]
    with pytest.raises(ConfigError, match="cycle_size='2ep' needs the number of iterations in an epoch"):
        trainer(tmp_path, ScheduleCallback({**COSINE, "cycle_size": "2ep"}), max_epochs=4).fit(module, data)


def test_a_run_without_an_end_is_followed_as_long_as_it_lasts(tmp_path):
    class Enough(lightning().Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 3

    module = fit(tmp_path, COSINE, callbacks=[Enough()], max_epochs=-1)
    assert module.held("lr") == cosched.CosineAnnealing(**FIELDS).values(range(20)).tolist()


def test_nothing_is_asked_of_a_schedule_beyond_the_end_of_the_run(tmp_path):
    fields = {**FIELDS, "start_value": 10.0, "cycle_size": 20, "start_value_mult": 1e308}
    assert cosched.CosineAnnealing(**fields)(20) == math.inf
    node = {**COSINE, **fields}
    assert len(fit(tmp_path, node, max_epochs=4).held("lr")) == 20
    assert len(fit(tmp_path, node, max_steps=20).held("lr")) == 20


@pytest.mark.parametrize(("scheduling", "durations"), [({0: 2}, "4ep"), ({0: 1, 2: 5}, 12)])
def test_lightnings_scheduler_of_accumulation_is_reckoned_with(tmp_path, scheduling, durations):
    accumulation = lightning().callbacks.GradientAccumulationScheduler(scheduling)
    module = fit(tmp_path, {**COSINE, "cycle_size": durations}, callbacks=[accumulation], max_epochs=4)
    schedule = cosched.CosineAnnealing(**{**FIELDS, "cycle_size": 12})
    assert module.held("lr") == schedule.values(range(12)).tolist()
    accumulation = lightning().callbacks.GradientAccumulationScheduler({0: 1, 2: 5})
    with pytest.raises(ConfigError, match="needs the number of iterations in an epoch"):
        fit(tmp_path, {**COSINE, "cycle_size": "4ep"}, callbacks=[accumulation], max_epochs=4)


# Several optimizers


def two(layer):
    return [torch.optim.SGD([one], lr=0.1, momentum=0.9) for one in layer.parameters()]


def test_each_of_several_optimizers_has_its_own_schedules(tmp_path):
    module = lightning().Module(two, steps=lambda batch: (0, 1))
    other = {**COSINE, "end_value": 0.05, "cycle_size": "50%"}
    callbacks = [ScheduleCallback(COSINE), ScheduleCallback({"rate": other}, optimizer=1)]
    run = trainer(tmp_path, *callbacks, max_epochs=4, log_every_n_steps=1)
    run.fit(module, loader())
    assert run.global_step == 40, "Lightning counts the steps of both"
    assert module.held("lr", 0) == cosched.CosineAnnealing(**FIELDS).values(range(20)).tolist()
    second = cosched.CosineAnnealing(**{**FIELDS, "end_value": 0.05})
    assert module.held("lr", 1) == second.values(range(20)).tolist()
    assert {"schedule/0/lr", "schedule/1/rate"} <= run.callback_metrics.keys()


def test_where_the_module_steps_as_it_likes_an_iteration_is_a_batch(tmp_path):
    # Of a batch: the second optimizer twice, the first one at every third.
    module = lightning().Module(two, steps=lambda batch: (1, 1, 0) if batch % 3 == 2 else (1, 1))
    callbacks = [ScheduleCallback({**COSINE, "cycle_size": "100%"}, optimizer=i) for i in (0, 1)]
    trainer(tmp_path, *callbacks, max_epochs=4).fit(module, loader())
    values = cosched.CosineAnnealing(**{**FIELDS, "cycle_size": 20}).values(range(20)).tolist()
    assert module.held("lr", 0) == values[2::5]
    assert module.held("lr", 1) == [value for value in values for _ in range(2)]


def test_steps_that_end_the_run_are_those_of_all_optimizers(tmp_path):
    node = {**COSINE, "cycle_size": "100%"}
    module = lightning().Module(two, steps=lambda batch: (0, 1))
    trainer(tmp_path, ScheduleCallback(node, optimizer=1), max_steps=24).fit(module, loader())
    assert module.held("lr", 1) == cosched.CosineAnnealing(**{**FIELDS, "cycle_size": 12}).values(range(12)).tolist()
    module = lightning().Module(two, steps=lambda batch: (0, 0, 1))
    with pytest.warns(UserWarning, match="max_steps=24 counts the steps of every optimizer, 3 after 1 batches"):
        trainer(tmp_path, ScheduleCallback(node, optimizer=1), max_steps=24).fit(module, loader())


# State


def checkpoints(folder, **options):
    every = {"every_n_train_steps": 1, "save_top_k": -1, "filename": "{step}", **options}
    return lightning().callbacks.ModelCheckpoint(dirpath=folder / "checkpoints", **every)


def saved(folder, step, scheduler, **options):
    """A checkpoint after ``step`` updates, and the module of the whole run."""
    module = fit(folder, scheduler, callbacks=[checkpoints(folder)], enable_checkpointing=True, **options)
    return folder / f"checkpoints/step={step}.ckpt", module


class KilledError(Exception):
    """What ends a run early."""


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize(
    ("length", "at"),
    [
        ({"max_epochs": 4}, {"every_n_train_steps": 7}),
        ({"max_epochs": 4}, {"every_n_train_steps": 5}),
        ({"max_epochs": 4}, {"every_n_train_steps": None, "every_n_epochs": 1, "save_on_train_epoch_end": True}),
        ({"max_steps": 11}, {"every_n_train_steps": 7}),
        ({"max_steps": 11}, {"every_n_train_steps": 5}),
    ],
)
def test_what_is_resumed_goes_on_exactly(tmp_path, accumulated, length, at):
    class Killer(lightning().Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == 8:
                raise KilledError

    options = {"accumulate_grad_batches": accumulated, **length}
    whole = fit(tmp_path, OmegaConf.create(SEVERAL), **options)
    callbacks = [Killer(), checkpoints(tmp_path, save_top_k=1, save_last=True, **at)]
    with pytest.raises(KilledError):
        fit(tmp_path, OmegaConf.create(SEVERAL), callbacks=callbacks, enable_checkpointing=True, **options)
    last = tmp_path / "checkpoints/last.ckpt"
    step = torch.load(last, weights_only=True)["global_step"]
    again = fit(tmp_path, OmegaConf.create(SEVERAL), ckpt_path=last, **options)
    assert 0 < step < 8
    assert again.seen[0] == whole.seen[0][step:]


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization", "ignore:The dirpath has changed")
@pytest.mark.parametrize("step", [3, 5])
def test_several_optimizers_go_on_too(tmp_path, step):
    def run(folder, **options):
        module = lightning().Module(two, steps=lambda batch: (0, 1))
        both = [ScheduleCallback({**COSINE, "end_value": end}, optimizer=i) for i, end in enumerate((0.001, 0.05))]
        trainer(folder, *both, checkpoints(folder), max_epochs=2, enable_checkpointing=True).fit(
            module, loader(), **options
        )
        return module

    whole = run(tmp_path / "whole")
    again = run(tmp_path / "again", ckpt_path=tmp_path / f"whole/checkpoints/step={2 * step}.ckpt")
    for i in (0, 1):
        assert again.held("lr", i) == whole.held("lr", i)[step:]


def test_the_state_is_plain_data_under_a_key_of_its_optimizer(tmp_path):
    file, _ = saved(tmp_path, 7, COSINE, max_epochs=2)
    state = torch.load(file, weights_only=True)["callbacks"]["ScheduleCallback{'optimizer': 0}"]
    assert state["last_epoch"] == 7
    assert state["schedulers"]["lr"]["schedule"]["cycle_size"] == 10
    assert ScheduleCallback(COSINE).state_dict() == {}, "there is nothing to save before a fit"


def test_another_schedule_is_refused_with_both_values(tmp_path):
    file, _ = saved(tmp_path, 7, COSINE, max_epochs=4)
    module = lightning().Module()
    with pytest.raises(ConfigError, match=r"lr: the checkpoint has another .* cycle_mult is 1.0 there and 2.0 here"):
        fit(tmp_path, {**COSINE, "cycle_mult": 2.0}, module, ckpt_path=file, max_epochs=4)
    with pytest.raises(ConfigError, match="the checkpoint has the schedulers lr, this config rate"):
        fit(tmp_path, {"rate": COSINE}, module, ckpt_path=file, max_epochs=4)
    assert module.seen == {}


@pytest.mark.parametrize(("choice", "mult"), [("config", 2.0), ("checkpoint", 1.0)])
def test_the_config_may_choose(tmp_path, choice, mult):
    file, _ = saved(tmp_path, 7, COSINE, max_epochs=4)
    module = fit(tmp_path, {**COSINE, "cycle_mult": 2.0, "on_mismatch": choice}, ckpt_path=file, max_epochs=4)
    assert module.held("lr") == cosched.CosineAnnealing(**FIELDS, cycle_mult=mult).values(range(7, 20)).tolist()


def test_a_run_of_another_length_is_refused(tmp_path):
    node = {**COSINE, "cycle_size": "50%"}
    file, _ = saved(tmp_path, 7, node, max_epochs=4)
    with pytest.raises(ConfigError, match=r"has other durations than the one .* cycle_size is 10 there and 20 here"):
        fit(tmp_path, node, ckpt_path=file, max_epochs=8)
    module = fit(tmp_path, {**node, "on_mismatch": "config"}, ckpt_path=file, max_epochs=8)
    assert module.held("lr") == cosched.CosineAnnealing(**{**FIELDS, "cycle_size": 20}).values(range(7, 40)).tolist()


def test_a_run_that_had_no_callback_is_continued_at_its_clock(tmp_path):
    trainer(tmp_path, checkpoints(tmp_path), enable_checkpointing=True, max_epochs=4).fit(
        lightning().Module(), loader()
    )
    file = tmp_path / "checkpoints/step=7.ckpt"
    module = fit(tmp_path, COSINE, ckpt_path=file, max_epochs=4)
    assert module.held("lr") == cosched.CosineAnnealing(**FIELDS).values(range(7, 20)).tolist()


@pytest.mark.parametrize("scheduler", [COSINE, {**COSINE, "cycle_size": "100%"}])
def test_a_second_fit_goes_on_or_begins_as_the_trainers_clock_says(tmp_path, scheduler):
    callback = ScheduleCallback(scheduler)
    run = trainer(tmp_path, callback, max_epochs=2)
    module = lightning().Module()
    run.fit(module, loader())
    run.fit_loop.max_epochs = 4
    if scheduler is COSINE:
        run.fit(module, loader())
        assert module.held("lr") == cosched.CosineAnnealing(**FIELDS).values(range(20)).tolist()
    else:
        for _ in range(2):
            with pytest.raises(ConfigError, match="cycle_size is 10 there and 20 here"):
                run.fit(module, loader())
    anew = lightning().Module()
    trainer(tmp_path, callback, max_epochs=2).fit(anew, loader())
    assert anew.held("lr") == cosched.CosineAnnealing(**FIELDS).values(range(10)).tolist()


def test_only_a_fit_is_its_business(tmp_path):
    module, callback = lightning().Module(), ScheduleCallback({**COSINE, "cycle_mlt": 2})
    run = trainer(tmp_path, callback)
    run.validate(module, loader())
    run.test(module, loader())
    run.predict(module, loader())
    assert module.validated == 3 * BATCHES
    with pytest.raises(ConfigError, match="cycle_mlt"):
        run.fit(module, loader())


def test_data_that_can_be_resumed_are(tmp_path):
    class Loader(torch.utils.data.DataLoader):
        """Begins at the batch where its state was saved, as torchdata's does."""

        def __init__(self):
            super().__init__(torch.arange(10.0).reshape(5, 2), batch_size=1)
            self.at, self.given = 0, []

        def __iter__(self):
            batches = list(super().__iter__())
            while self.at < len(batches):
                self.at += 1
                self.given.append(self.at)
                yield batches[self.at - 1]
            self.at = 0

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]

    def run(*callbacks, ckpt_path=None, **options):
        data, module = Loader(), lightning().Module()
        trainer(tmp_path, ScheduleCallback(COSINE), *callbacks, **options).fit(module, data, ckpt_path=ckpt_path)
        return data.given

    run(checkpoints(tmp_path), enable_checkpointing=True, max_steps=3)
    resumed = run(ckpt_path=tmp_path / "checkpoints/step=3.ckpt", max_epochs=1)
    assert resumed[0] > 1, "the callback has not asked for the data before their state was there"


def test_a_strategy_that_restores_the_checkpoint_later_is_as_good(tmp_path):
    from lightning.pytorch.strategies import SingleDeviceStrategy

    class Late(SingleDeviceStrategy):
        """As those that shard the module and the optimizer."""

        restore_checkpoint_after_setup = True

    file, whole = saved(tmp_path, 7, COSINE, max_epochs=2)
    assert fit(tmp_path, COSINE, ckpt_path=file, max_epochs=2, strategy=Late()).seen[0] == whole.seen[0][7:]
    with pytest.raises(ConfigError, match=r"cycle_mult is 1.0 there and 2.0 here"):
        fit(tmp_path, {**COSINE, "cycle_mult": 2.0}, ckpt_path=file, max_epochs=2, strategy=Late())
