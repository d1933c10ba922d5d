"""A torch scheduler that any loop steps: torch's own as oracles, one YAML with several schedulers, state, refusals."""

import copy
import io
import re
import warnings

import pytest
import torch
from helpers import ROOT
from hydra import compose, initialize
from ignite.engine import Engine
from omegaconf import OmegaConf
from torch.optim import lr_scheduler

import cosched
from cosched import ConfigError, TorchScheduler

FIELDS = {"start_value": 0.1, "end_value": 0.001, "cycle_size": 10}
COSINE = {"_target_": "cosched.CosineAnnealingScheduler", "param_name": "lr", **FIELDS}
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


def optimizer(lr=0.1, groups=2, **options):
    named = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr, "name": f"back{i}"} for i in range(groups)]
    return torch.optim.SGD(named, momentum=0.9, **options)


def walk(scheduler, steps, read=lambda optimizer: optimizer.param_groups[0]["lr"]):
    """What the optimizer holds before each of its updates."""
    held = []
    for _ in range(steps):
        held.append(read(scheduler.optimizer))
        scheduler.optimizer.step()
        scheduler.step()
    return held


def test_torchs_warm_restarts_give_the_same_rates():
    ours, theirs = optimizer(), optimizer()
    schedule = cosched.CosineAnnealing(**FIELDS, cycle_mult=2)
    oracle = lr_scheduler.CosineAnnealingWarmRestarts(theirs, T_0=10, T_mult=2, eta_min=0.001)
    assert walk(TorchScheduler(ours, schedule), 200) == pytest.approx(walk(oracle, 200), rel=1e-12)


def test_it_is_stepped_as_torchs_are():
    scheduler = TorchScheduler(optimizer(lr=0.7), cosched.Constant(value=0.25))
    assert isinstance(scheduler, lr_scheduler.LRScheduler)
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)
    assert scheduler.get_last_lr() == [0.25, 0.25], "the first value is applied at once"
    assert scheduler.base_lrs == [0.7, 0.7]
    walk(scheduler, 3)
    assert (scheduler.last_epoch, scheduler._step_count) == (3, 4)


def test_several_schedules_of_one_yaml_follow_one_clock():
    scheduler = TorchScheduler(optimizer(), OmegaConf.create(SEVERAL), epoch_length=5, max_epochs=8)
    held = walk(scheduler, 40, lambda o: [[g[k] for g in o.param_groups] for k in ("lr", "momentum", "weight_decay")])
    pure = {name: part.declared.resolve(epoch_length=5, max_epochs=8) for name, part in scheduler.parts.items()}
    lr = pure["lr"].values(range(40)).tolist()
    momentum = [cosched.LinearCyclical(start_value=0.9, end_value=0.8, cycle_size=2)(step // 5) for step in range(40)]
    assert held == [[[a, a], [b, b], [0.5, 0.5]] for a, b in zip(lr, momentum, strict=True)]


def test_it_is_what_an_engine_makes_of_the_same_yaml():
    ours, theirs = optimizer(), optimizer()
    seen = []
    engine = Engine(lambda *_: seen.append([dict(g, params=None) for g in theirs.param_groups]))
    cosched.attach(engine, OmegaConf.create(SEVERAL), theirs)
    engine.run(range(5), max_epochs=8)
    scheduler = TorchScheduler(ours, OmegaConf.create(SEVERAL), epoch_length=5, max_epochs=8)
    added = {"initial_lr"}  # by torch's schedulers
    held = walk(
        scheduler,
        40,
        lambda o: [{k: v for k, v in dict(g, params=None).items() if k not in added} for g in o.param_groups],
    )
    assert held == seen


@pytest.mark.parametrize("option", [path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")])
def test_every_preset_drives_it(option):
    with initialize(version_base=None, config_path=None):
        node = compose(overrides=[f"+scheduler={option}"]).scheduler
    scheduler = TorchScheduler(optimizer(), node, epoch_length=10, max_epochs=30)
    pure = OmegaConf.to_object(node).resolve(epoch_length=10, max_epochs=30)
    name = "momentum" if "momentum" in option else "lr"
    assert walk(scheduler, 300, lambda o: o.param_groups[1][name]) == pure.values(range(300)).tolist()


def test_a_step_may_be_an_epoch():
    node = {**COSINE, "event": "EPOCH_STARTED"}
    by_epoch = TorchScheduler(optimizer(), node, event="epoch_started")
    assert walk(by_epoch, 30) == cosched.CosineAnnealing(**FIELDS).values(range(30)).tolist()
    with pytest.raises(ConfigError, match=r"counts epochs, and a step.. is an iteration: give epoch_length, or event="):
        TorchScheduler(optimizer(), node)
    with pytest.raises(
        ConfigError, match=r"counts iterations, and a step.. is an epoch: call step.. after each update"
    ):
        TorchScheduler(optimizer(), COSINE, event="epoch_started")
    with pytest.raises(ValueError, match="event='often' must be one of iteration_started, epoch_started"):
        TorchScheduler(optimizer(), COSINE, event="often")


def test_the_first_step_comes_after_an_update():
    scheduler = TorchScheduler(optimizer(), COSINE)
    with pytest.warns(UserWarning, match="before that of the optimizer, which will not see the first values"):
        scheduler.step()


@pytest.mark.parametrize("steps", [2, 8])
def test_several_steps_for_each_update_are_warned_of_once(steps):
    scheduler = TorchScheduler(optimizer(), COSINE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(10):
            scheduler.optimizer.step()
            for _ in range(steps):
                scheduler.step()
    (warned,) = caught
    assert f"is called {steps} times for each update of the optimizer" in str(warned.message)


@pytest.mark.parametrize("length", [2, 5, 30])
def test_a_step_for_each_epoch_alone_is_warned_of_once(length):
    scheduler = TorchScheduler(optimizer(), COSINE, epoch_length=length)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            for _ in range(length):
                scheduler.optimizer.step()
            scheduler.step()
    (warned,) = caught
    assert f"is not called in {length} updates of the optimizer, a whole epoch" in str(warned.message)


def test_a_step_for_each_epoch_is_right_where_it_is_said():
    scheduler = TorchScheduler(
        optimizer(), {**COSINE, "event": "EPOCH_STARTED"}, epoch_length=20, event="epoch_started"
    )
    for _ in range(3):
        for _ in range(20):
            scheduler.optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr()[0] == cosched.CosineAnnealing(**FIELDS)(3)


@pytest.mark.parametrize("known", [{"epoch_length": 20}, {"epoch_length": 3}, {"max_epochs": 4}])
def test_a_step_for_each_update_is_warned_of_once_where_a_step_is_an_epoch(known):
    scheduler = TorchScheduler(optimizer(), {**COSINE, "event": "EPOCH_STARTED"}, event="epoch_started", **known)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        walk(scheduler, 20)
    (warned,) = caught
    assert re.search(r"after each of [358] updates of the optimizer, .* a step.. is an epoch", str(warned.message))


@pytest.mark.parametrize("known", [{}, {"epoch_length": 1}, {"max_epochs": 20}])
def test_an_epoch_may_be_one_update(known):
    scheduler = TorchScheduler(optimizer(), {**COSINE, "event": "EPOCH_STARTED"}, event="epoch_started", **known)
    assert walk(scheduler, 20) == cosched.CosineAnnealing(**FIELDS).values(range(20)).tolist(), "without a warning"


def test_a_schedule_by_epochs_is_right_with_a_step_for_each_update():
    scheduler = TorchScheduler(optimizer(), {**COSINE, "event": "EPOCH_STARTED"}, epoch_length=5)
    pure = cosched.CosineAnnealing(**FIELDS)
    assert walk(scheduler, 20) == [pure(update // 5) for update in range(20)]


@pytest.mark.parametrize("skipped", [{1}, {2, 3, 4}, {1, 3, 5}])
def test_updates_that_a_gradient_scaler_skips_are_steps_without_a_warning(skipped):
    scheduler = TorchScheduler(optimizer(), COSINE)
    weight = scheduler.optimizer.param_groups[0]["params"][0]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for batch in range(10):
        weight.grad = None
        scaler.scale(weight.sum() * (torch.inf if batch in skipped else 1)).backward()
        scaler.step(scheduler.optimizer)
        scaler.update()
        scheduler.step()
    assert scheduler.get_last_lr()[0] == cosched.CosineAnnealing(**FIELDS)(10)


def test_what_wraps_an_optimizer_need_not_have_been_made_as_one():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner):
            self.inner = inner

        param_groups = property(lambda self: self.inner.param_groups)

        def step(self):
            self.inner.step()

    inner = optimizer()
    scheduler = TorchScheduler(Wrapper(inner), COSINE)
    assert walk(scheduler, 12, lambda _: inner.param_groups[0]["lr"]) == (
        cosched.CosineAnnealing(**FIELDS).values(range(12)).tolist()
    )


def test_tensors_are_filled_in_place():
    rate = torch.tensor(0.5, dtype=torch.float64)
    scheduler = TorchScheduler(optimizer(lr=rate, groups=1), COSINE)
    assert walk(scheduler, 12, lambda o: float(o.param_groups[0]["lr"])) == (
        cosched.CosineAnnealing(**FIELDS).values(range(12)).tolist()
    )
    assert scheduler.optimizer.param_groups[0]["lr"] is rate
    assert scheduler.get_last_lr()[0] is not rate, "what torch gives away is a copy, too"


def test_histories_are_kept_where_they_are_asked_for():
    scheduler = TorchScheduler(optimizer(), {**COSINE, "save_history": True, "relative": True, "start_value": 1})
    walk(scheduler, 3)
    curve = cosched.CosineAnnealing(**{**FIELDS, "start_value": 1})
    assert scheduler.param_history == {"lr": [[0.1 * curve(i)] * 2 for i in range(4)]}


# State


def saved(scheduler):
    """The state, through a file, as torch reads what it does not trust."""
    file = io.BytesIO()
    torch.save({"scheduler": scheduler.state_dict(), "optimizer": scheduler.optimizer.state_dict()}, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


LENGTH = {"epoch_length": 5, "max_epochs": 8}


@pytest.mark.parametrize("steps", [1, 7, 39])
@pytest.mark.parametrize("with_optimizer", [True, False])
def test_what_is_restored_goes_on(steps, with_optimizer):
    def read(o):
        return [[g[k] for g in o.param_groups] for k in ("lr", "momentum", "weight_decay")]

    whole = walk(TorchScheduler(optimizer(), OmegaConf.create(SEVERAL), **LENGTH), 40, read)
    first = TorchScheduler(optimizer(), OmegaConf.create(SEVERAL), **LENGTH)
    walk(first, steps)
    state = saved(first)
    again = TorchScheduler(optimizer(), OmegaConf.create(SEVERAL), **LENGTH)
    if with_optimizer:
        again.optimizer.load_state_dict(state["optimizer"])
    again.load_state_dict(state["scheduler"])
    assert (again.last_epoch, again._step_count) == (steps, steps + 1)
    assert walk(again, 40 - steps, read) == whole[steps:]


def test_another_schedule_is_refused_and_nothing_changes():
    first = TorchScheduler(optimizer(), {"lr": COSINE, "momentum": {**COSINE, "param_name": "momentum"}})
    walk(first, 6)
    state = saved(first)["scheduler"]
    other = {"lr": COSINE, "momentum": {**COSINE, "param_name": "momentum", "cycle_mult": 2.0}}
    again = TorchScheduler(optimizer(), other)
    before, held = copy.deepcopy(again.state_dict()), again.get_last_lr()
    with pytest.raises(ConfigError, match=r"momentum: .* cycle_mult is 1\.0 there and 2.0 here"):
        again.load_state_dict(state)
    assert (again.state_dict(), again.get_last_lr()) == (before, held)


@pytest.mark.parametrize(("choice", "mult"), [("config", 2.0), ("checkpoint", 1.0)])
def test_the_config_may_choose(choice, mult):
    first = TorchScheduler(optimizer(), COSINE)
    walk(first, 6)
    again = TorchScheduler(optimizer(), {**COSINE, "cycle_mult": 2.0, "on_mismatch": choice})
    again.load_state_dict(saved(first)["scheduler"])
    assert walk(again, 30) == cosched.CosineAnnealing(**FIELDS, cycle_mult=mult).values(range(6, 36)).tolist()


def test_a_run_of_another_length_is_refused():
    first = TorchScheduler(optimizer(), {**COSINE, "cycle_size": "25%"}, **LENGTH)
    walk(first, 6)
    again = TorchScheduler(optimizer(), {**COSINE, "cycle_size": "25%"}, epoch_length=5, max_epochs=16)
    with pytest.raises(ConfigError, match=r"has other durations than the one .* cycle_size is 10 there and 20 here"):
        again.load_state_dict(saved(first)["scheduler"])
    assert again.last_epoch == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("last_epoch"), "lacks .'last_epoch'.: it was not saved by a TorchScheduler"),
        (lambda state: state.update(last_epoch=-1), "last_epoch=-1 in state_dict must be an integer of at least 0"),
        (lambda state: state.update(_step_count=1.5), "_step_count=1.5 in state_dict must be an integer"),
        (lambda state: state.update(schedulers={"other": {}}), "has the schedulers other, this config lr"),
        (lambda state: state["schedulers"]["lr"].update(event_index="3"), "event_index='3' in state_dict"),
    ],
)
def test_a_damaged_state_is_refused(change, message):
    scheduler = TorchScheduler(optimizer(), COSINE)
    state = saved(scheduler)["scheduler"]
    change(state)
    with pytest.raises(ValueError, match=message):
        scheduler.load_state_dict(state)


# Refusals at construction


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**COSINE, "cycle_mlt": 2}, "has no field 'cycle_mlt': did you mean 'cycle_mult'|no argument 'cycle_mlt'"),
        ({**COSINE, "param_name": "Ir"}, "names no number to schedule: did you mean 'lr'"),
        ({**COSINE, "start_value": -0.1}, "lr is -0.1 at event 0"),
        ({**COSINE, "cycle_size": "25%"}, "cycle_size='25%' needs a run whose end is known"),
        ({**COSINE, "cycle_size": "2ep"}, "cycle_size='2ep' needs the number of iterations in an epoch"),
        ({**COSINE, "param_name": "engine.state.x"}, "is of an ignite engine, and here is none"),
        ({"a": COSINE, "b": COSINE}, "lr of group back0 is driven twice, by a and by b"),
        ([COSINE, COSINE], "two are named lr: declare them in a mapping"),
        ({**COSINE, "_target_": "ignite.handlers.CosineAnnealingScheduler"}, "would call ignite.handlers.Cosine"),
        ({**COSINE, "_target_": "cosched.attach"}, "would call cosched.*attach, but a config may only make"),
        ({**COSINE, "event": "iteration_completed"}, "event=.* is for ignite's engines"),
    ],
)
def test_what_cannot_be_right_is_refused_before_training(node, message):
    with pytest.raises(ConfigError, match=message):
        TorchScheduler(optimizer(), node)


def test_an_optimizer_is_a_torch_optimizer():
    with pytest.raises(TypeError, match="optimizer=3 must be a torch optimizer"):
        TorchScheduler(3, COSINE)
    with pytest.raises(TypeError, match="scheduler=3 is not a scheduler: give a bound scheduler"):
        TorchScheduler(optimizer(), 3)
    with pytest.raises(ConfigError, match="lr: it is bound to another optimizer"):
        TorchScheduler(optimizer(), cosched.BoundScheduler(optimizer(), cosched.Constant(value=1)))


# Torch's composites


def test_it_stands_in_torchs_sequence():
    def sequence(second):
        o = optimizer()
        return lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o, 0.5, 100), second(o)], milestones=[4])

    schedule = cosched.CosineAnnealing(**FIELDS)
    ours = walk(sequence(lambda o: TorchScheduler(o, schedule)), 30)
    assert ours == [0.05] * 4 + schedule.values(range(26)).tolist()


def test_it_may_wait_in_torchs_sequence_for_longer_than_an_epoch():
    o = optimizer()
    waiting = TorchScheduler(o, COSINE, epoch_length=10)
    sequence = lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o, 0.5, 100), waiting], milestones=[25])
    assert walk(sequence, 50) == [0.05] * 25 + cosched.CosineAnnealing(**FIELDS).values(range(25)).tolist()


def test_it_stands_in_a_chain_where_each_drives_its_own_number():
    o = optimizer()
    node = {**COSINE, "param_name": "momentum"}
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(o, 0.5), TorchScheduler(o, node)])
    held = walk(chain, 5, lambda o: (o.param_groups[0]["lr"], o.param_groups[0]["momentum"]))
    curve = cosched.CosineAnnealing(**FIELDS)
    assert held == [(0.1 * 0.5**i, curve(i)) for i in range(5)]


def test_a_state_goes_from_a_pure_schedule_to_a_bound_one_and_back(sgd):
    pure, bound = cosched.Constant(value=0.5), cosched.ConstantScheduler(sgd, "lr", 0.5)
    for first, then in ((pure, bound), (bound, pure)):
        earlier, later = (TorchScheduler(sgd, one, max_iters=10) for one in (first, then))
        sgd.step()
        earlier.step()
        later.load_state_dict(earlier.state_dict())
        assert later.last_epoch == 1


def test_one_name_that_is_allowed_may_be_a_text(sgd):
    config = {
        "_target_": "torch.optim.lr_scheduler.LambdaLR",
        "lr_lambda": {"_target_": "cosched.Constant", "value": 1},
    }
    with pytest.raises(ConfigError, match="gives a LambdaLR, which is not a scheduler"):
        TorchScheduler(sgd, config, max_iters=3, allow="torch.optim.lr_scheduler.LambdaLR")


def test_it_says_what_it_drives():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    fields = {"start_value": 0.5, "end_value": 0, "cycle_size": "1ep"}
    declared = {"_target_": "cosched.CosineAnnealingScheduler", **fields}
    both = {name: {**declared, "param_name": name} for name in ("lr", "momentum")}
    said = repr(TorchScheduler(optimizer, both, epoch_length=5, max_epochs=3))
    cosine = repr(cosched.CosineAnnealing(**fields))
    assert said == f"TorchScheduler(lr={cosine}, betas[0]={cosine})"
