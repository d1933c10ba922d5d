"""Where values go: tensors, elements of tuples, groups by name, relative rates, an engine's state, compiled steps."""

import copy
import types

import pytest
import torch
from ignite.engine import Engine, Events
from omegaconf import OmegaConf

import cosched
from cosched import CosineAnnealingScheduler, EngineState
from cosched.config.schemas import scheduler as config_of

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4}


def bind(optimizer, name="lr", **more):
    return CosineAnnealingScheduler(optimizer, name, **{**FIELDS, **more})


def adam(groups=1, **options):
    return torch.optim.Adam([{"params": [torch.zeros(1)], "name": f"part.{i}"} for i in range(groups)], **options)


def held(optimizer, key="lr"):
    return [group[key] for group in optimizer.param_groups]


# Tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_is_filled_and_stays_what_it_is(dtype):
    rate = torch.tensor(0.5, dtype=dtype)
    optimizer = adam(lr=rate, foreach=False)
    scheduler = bind(optimizer)
    for i in range(3):
        scheduler(None)
        assert optimizer.param_groups[0]["lr"] is rate
        assert rate == torch.tensor(scheduler.schedule(i), dtype=dtype)
    assert rate.dtype is dtype


def test_groups_that_share_a_tensor_keep_sharing_it_while_they_are_driven_together():
    rate = torch.tensor(0.5)
    optimizer = adam(3, lr=rate, foreach=False)
    bind(optimizer)(None)
    assert all(group["lr"] is rate for group in optimizer.param_groups)
    assert rate == 1.0


@pytest.mark.parametrize("choice", [{"param_group_index": 1}, {"param_group": "*.1"}])
def test_groups_that_share_a_tensor_are_unshared_where_they_are_to_differ(choice):
    rate = torch.tensor(0.5)
    optimizer = adam(3, lr=rate, foreach=False)
    bind(optimizer, **choice)(None)
    first, second, third = held(optimizer)
    assert first is third is rate
    assert (float(first), float(second)) == (0.5, 1.0)
    assert second.dtype is rate.dtype


def test_groups_that_share_a_tensor_are_unshared_when_relative():
    rate = torch.tensor(0.5)
    optimizer = adam(2, lr=rate, foreach=False)
    optimizer.param_groups[1]["initial_lr"] = 0.125
    bind(optimizer, relative=True)(None)
    assert [float(value) for value in held(optimizer)] == [0.5, 0.125]


def test_a_copied_scheduler_fills_its_own_tensors():
    optimizer = adam(lr=torch.tensor(0.5), foreach=False)
    scheduler = bind(optimizer)
    other = copy.deepcopy(scheduler)
    other(None)
    assert held(other.optimizer) == [1.0]
    assert held(optimizer) == [0.5]


def test_a_compiled_step_is_compiled_once_and_takes_every_rate():
    rates = cosched.CosineAnnealing(start_value=1e-2, end_value=1e-4, cycle_size=50).values(range(50)).tolist()
    assert len(set(rates)) == 50
    compilations = []

    def counting(graph, inputs):
        compilations.append(graph)
        return graph.forward

    def train(rate, compiled):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(5, 3))
        optimizer = torch.optim.Adam([weight], lr=rate, foreach=False)
        step = torch.compile(optimizer.step, backend=counting) if compiled else optimizer.step

        def update(engine, batch):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            step()

        engine = Engine(update)
        scheduler = CosineAnnealingScheduler(optimizer, "lr", 1e-2, 1e-4, 50)
        cosched.attach(engine, scheduler)
        engine.run(range(50))
        return optimizer.param_groups[0]["lr"], weight.detach()

    rate = torch.tensor(1e-3)
    kept, compiled = train(rate, compiled=True)
    _, plain = train(1e-3, compiled=False)
    assert len(compilations) == 1
    assert kept is rate
    torch.testing.assert_close(compiled, plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_captured_step_replays_with_every_rate_and_nothing_waits_for_the_device():
    def data():
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(64, 64, device="cuda"))
        optimizer = torch.optim.Adam([weight], lr=torch.tensor(1e-2, device="cuda"), capturable=True)

        def step():
            optimizer.zero_grad(set_to_none=False)
            (weight**2).sum().backward()
            optimizer.step()

        return weight, optimizer, step

    def train(update, optimizer, iterations):
        engine = Engine(lambda engine, batch: update())
        cosched.attach(engine, CosineAnnealingScheduler(optimizer, "lr", 1e-2, 1e-4, 30))
        torch.cuda.set_sync_debug_mode("error")
        try:
            engine.run(range(iterations))
        finally:
            torch.cuda.set_sync_debug_mode("default")

    eager_weight, eager, step = data()
    with torch.no_grad():
        eager_weight.grad = torch.zeros_like(eager_weight)
    for _ in range(3):
        step()
    train(step, eager, 100)

    weight, optimizer, step = data()
    with torch.no_grad():
        weight.grad = torch.zeros_like(weight)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    rate = optimizer.param_groups[0]["lr"]
    train(graph.replay, optimizer, 100)
    assert optimizer.param_groups[0]["lr"] is rate
    torch.testing.assert_close(weight, eager_weight)
    assert float(rate) == pytest.approx(cosched.CosineAnnealing(start_value=1e-2, end_value=1e-4, cycle_size=30)(99))


# Any hyper-parameter


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
def test_any_number_can_be_driven(name):
    optimizer = adam(2)
    bind(optimizer, name)(None)
    assert held(optimizer, name) == [1.0, 1.0]


@pytest.mark.parametrize(("name", "expected"), [("betas[0]", (1.0, 0.999)), ("betas[1]", (0.9, 1.0))])
def test_an_element_of_a_tuple_can_be_driven(name, expected):
    optimizer = adam(2)
    bind(optimizer, name)(None)
    assert held(optimizer, "betas") == [expected, expected]
    assert type(held(optimizer, "betas")[0]) is tuple


def test_momentum_means_the_first_beta_of_adam_and_momentum_itself_elsewhere():
    optimizer = adam()
    bind(optimizer, "momentum")(None)
    assert held(optimizer, "betas") == [(1.0, 0.999)]
    assert "momentum" not in optimizer.param_groups[0]
    sgd = torch.optim.SGD([torch.zeros(1)], momentum=0.9)
    bind(sgd, "momentum")(None)
    assert held(sgd, "momentum") == [1.0]


def test_two_schedulers_share_a_tuple():
    optimizer = adam()
    for scheduler in (bind(optimizer, "betas[0]"), bind(optimizer, "betas[1]", start_value=0.5)):
        scheduler(None)
    assert held(optimizer, "betas") == [(1.0, 0.5)]


def test_elements_that_are_tensors_are_filled():
    beta = torch.tensor(0.9)
    optimizer = types.SimpleNamespace(param_groups=[{"betas": [beta, 0.999]}])
    bind(optimizer, "betas[0]")(None)
    assert optimizer.param_groups[0]["betas"][0] is beta
    assert beta == 1.0


# Which groups


def test_a_pattern_chooses_groups_by_name():
    optimizer = adam(12, lr=0.5)
    scheduler = bind(optimizer, param_group="part.1*")
    scheduler(None)
    assert held(optimizer) == [1.0 if i in (1, 10, 11) else 0.5 for i in range(12)]
    assert [group["name"] for group in scheduler.optimizer_param_groups] == ["part.1", "part.10", "part.11"]


def test_relative_keeps_the_ratios_over_checkpoints():
    rates = [0.75**i for i in range(24)]
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates])
    scheduler = bind(optimizer, relative=True, save_history=True)
    engine = Engine(lambda *_: None)
    scheduler.attach(engine)
    engine.run(range(3))
    value = scheduler.schedule(2)
    assert held(optimizer) == [value * rate for rate in rates]
    assert engine.state.param_history["lr"][2] == held(optimizer)
    assert held(optimizer, "initial_lr") == rates

    resumed = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates])
    again = bind(resumed, relative=True)
    resumed.load_state_dict(optimizer.state_dict())
    again.event_index = 3
    again(None)
    assert held(resumed) == [scheduler.schedule(3) * rate for rate in rates]


def test_relative_uses_what_torch_remembered():
    optimizer = adam(2, lr=0.5)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert held(optimizer) == [0.25, 0.25]
    bind(optimizer, relative=True)(None)
    assert held(optimizer) == [0.5, 0.5]


def test_relative_survives_a_checkpoint_that_does_not_know_the_initial_values():
    optimizer = adam(2, lr=0.5)
    saved = copy.deepcopy(optimizer.state_dict())
    scheduler = bind(optimizer, relative=True)
    for group in saved["param_groups"]:
        group["lr"] = 0.001
    optimizer.load_state_dict(saved)
    scheduler(None)
    assert held(optimizer) == [0.5, 0.5]


def test_groups_added_later_are_driven_too():
    optimizer = adam(2, lr=0.5)
    everything, pattern = bind(optimizer), bind(optimizer, "eps", param_group="part.*")
    optimizer.add_param_group({"params": [torch.zeros(1)], "name": "part.late"})
    for scheduler in (everything, pattern):
        scheduler(None)
    assert held(optimizer) == held(optimizer, "eps") == [1.0] * 3


def test_loading_the_optimizers_state_does_not_detach_us():
    optimizer = adam(2, lr=torch.tensor(0.5), foreach=False)
    scheduler = bind(optimizer, param_group_index=1)
    before = optimizer.param_groups
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups is not before
    scheduler(None)
    assert [float(rate) for rate in held(optimizer)] == [0.5, 1.0]


@pytest.mark.parametrize("fresh", [list, tuple])
@pytest.mark.parametrize("more", [{}, {"param_group": "part.*"}, {"relative": True}])
def test_a_wrapper_may_make_a_new_sequence_at_every_access(fresh, more):
    inner = adam(2, lr=0.5)
    wrapper = type("Wrapper", (), {"param_groups": property(lambda self: fresh(inner.param_groups))})()
    scheduler = bind(wrapper, **more)
    for i in range(3):
        scheduler(None)
        assert held(inner) == [scheduler.schedule(i) * (0.5 if more == {"relative": True} else 1)] * 2


# The engine's state


def test_an_attribute_of_the_engines_state_is_driven_by_config():
    seen = []
    engine = Engine(lambda engine, batch: seen.append(engine.state.temperature))
    engine.state.temperature = 3
    config = OmegaConf.structured(config_of.cosine_annealing(**FIELDS, param_name="engine.state.temperature"))
    scheduler = cosched.attach(engine, config)
    engine.run(range(10))
    assert seen == scheduler.schedule.values(range(10)).tolist()


def test_the_engines_state_is_an_optimizer_for_bound_schedulers():
    engine = Engine(lambda *_: None)
    engine.state.weight = torch.tensor(3.0)
    weight = engine.state.weight
    bind(EngineState(engine), "weight")(None)
    assert engine.state.weight is weight
    assert weight == 1.0


# Errors

SGD = torch.optim.SGD


@pytest.mark.parametrize(
    ("optimizer", "wrong", "message"),
    [
        (
            adam,
            {"name": "Ir"},
            r"param_name='Ir' names no number to schedule: did you mean 'lr'\? There are: lr, betas\[",
        ),
        (adam, {"name": "betas"}, r"param_name='betas' .*did you mean 'betas\[[01]\]'\?"),
        (
            adam,
            {"name": "betas[2]"},
            r"param_name='betas\[2\]' .*There are: lr, betas\[0\], betas\[1\], eps, weight_decay",
        ),
        (adam, {"name": "amsgrad"}, "param_name='amsgrad' names no number"),
        (
            lambda: torch.optim.Adagrad([torch.zeros(1)]),
            {"name": "momentum"},
            "param_name='momentum' .*There are: lr, ",
        ),
        (lambda: adam(2), {"param_group_index": 5}, r"param_group_index=5 is out of range: .* 2 parameter group\(s\)"),
        (lambda: adam(2), {"param_group": "prat*"}, r"param_group='prat\*' matches .*There are: part.0, part.1"),
        (lambda: SGD([torch.zeros(1)]), {"param_group": "head*"}, r"param_group='head\*' matches .*There are: none"),
        (adam, {"param_group": "part*", "param_group_index": 0}, r"both choose groups: give one of them"),
        (
            adam,
            {"name": "weight_decay", "relative": True},
            "param_name='weight_decay' is 0 in group part.0, and relative",
        ),
    ],
)
def test_mistakes_are_refused_at_binding(optimizer, wrong, message):
    with pytest.raises(ValueError, match=message):
        bind(optimizer(), **wrong)


@pytest.mark.parametrize("name", ["label", "nothing", "iteration", "epoch_length", "cycle"])
def test_only_numbers_that_are_not_the_engines_own_can_be_driven(name):
    engine = Engine(lambda *_: None)
    engine.state.label, engine.state.temperature, engine.state.cycle = "a string", 1.0, 1
    config = {"_target_": "cosched.CosineAnnealingScheduler", **FIELDS, "param_name": f"engine.state.{name}"}
    with pytest.raises(
        cosched.ConfigError, match=f"'engine.state.{name}' names no number .*There are: engine.state.temp"
    ):
        cosched.attach(engine, config)
    assert not engine._event_handlers[Events.ITERATION_STARTED]


def test_a_misspelt_attribute_is_named_as_it_is_typed():
    engine = Engine(lambda *_: None)
    engine.state.temperature = 1.0
    config = {"_target_": "cosched.ConstantScheduler", "value": 0.5, "param_name": "engine.state.temprature"}
    with pytest.raises(
        cosched.ConfigError, match=r"did you mean 'engine\.state\.temperature'\? .*; set engine\.state\.tempr"
    ):
        cosched.attach(engine, config)


@pytest.mark.parametrize(("earlier", "first"), [(None, 2.0), (3.0, 3.0)])
def test_an_attribute_that_does_not_exist_yet_is_declared_in_the_config(earlier, first):
    seen = []
    engine = Engine(lambda engine, batch: seen.append(engine.state.temperature))
    name = "engine.state.temperature"
    config = {"_target_": "cosched.ConstantScheduler", "value": 0.5, "param_name": name}
    if earlier is not None:
        engine.state.temperature = earlier
    else:
        remedy = "set engine.state.temperature before the scheduler is attached, or give the scheduler an initial_value"
        with pytest.raises(
            cosched.ConfigError, match=f"^scheduler: param_name='{name}' names no number to schedule: {remedy}$"
        ):
            cosched.attach(engine, config)
    cosched.attach(engine, config | {"initial_value": 2, "relative": True})
    assert engine.state.temperature == first
    engine.run(range(2), max_epochs=2)
    assert seen == [first / 2] * 4


@pytest.mark.parametrize("wrong", ["warm", True])
def test_what_an_attribute_begins_with_is_a_number(wrong):
    with pytest.raises(TypeError, match=f"initial_value={wrong!r} is not a number"):
        cosched.EngineState(Engine(lambda *_: None)).declare("temperature", wrong)


def test_an_optimizer_has_its_own_initial_values(sgd):
    with pytest.raises(ValueError, match=r"initial_value=0\.5 is for an attribute of engine.state: what an opti"):
        cosched.ConstantScheduler(sgd, "lr", 0.5, initial_value=0.5)


def test_a_value_beyond_the_type_of_a_tensor_is_refused_when_the_run_starts():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
    engine = Engine(lambda *_: None)
    cosched.attach(engine, cosched.CosineAnnealingScheduler(optimizer, "lr", 1.0, 1e39, 5))
    with pytest.raises(cosched.ConfigError, match=r"lr is .* at event 2: it must be .* at most 3\.40282e\+38, the gr"):
        engine.run(range(5))
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.1)
