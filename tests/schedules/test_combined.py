"""Schedules made of others' values: scaled, rounded, multiplied, and one that follows another's."""

import math
import warnings

import numpy as np
import pytest
import torch
from hydra import compose, initialize
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.engine import Engine
from omegaconf import OmegaConf
from strategies import cosine, linear, then, wild

import cosched
from cosched import (
    ConfigError,
    Constant,
    CosineAnnealing,
    LinearCyclical,
    Phases,
    PiecewiseLinear,
    Product,
    Scaled,
    TorchScheduler,
    lasting,
)
from cosched.sweeps.curves import evaluate

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult")

COSINE = CosineAnnealing(start_value=1, end_value=0, cycle_size=100, num_cycles=1)


# Scaled


def test_megatrons_exponential_decay_is_a_power_of_a_half():
    # 2 * 0.5**x - 1, x the part of the decay that has passed: Megatron-LM's `exponential` of its WSD.
    half = cosched.ExponentialAnnealing(start_value=1, end_value=0.5, cycle_size=1000, num_cycles=1)
    decay = Scaled(schedule=half, factor=2, offset=-1)
    expected = [2 * 0.5 ** (event / 1000) - 1 for event in range(1001)]
    np.testing.assert_allclose(decay.values(range(1001)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("power", [0.5, 2, 3, -1, 1.7])
def test_the_formula_is_that_of_python(power):
    schedule = Scaled(schedule=linear(4, 1, 30), factor=-3, power=power, offset=0.25, lower=-20, upper=1)
    inner = [4 - event / 10 for event in range(31)]
    expected = [min(max(0.25 - 3 * value**power, -20), 1) for value in inner]
    np.testing.assert_allclose(schedule.values(range(31)), expected, rtol=1e-13)


def test_whole_powers_of_negative_values_exist():
    assert Scaled(schedule=Constant(value=-2), power=2).values(range(2)).tolist() == [4, 4]
    assert Scaled(schedule=Constant(value=-2), power=3)(0) == -8


def test_a_fractional_power_of_a_negative_value_is_refused_before_training():
    node = {
        "_target_": "cosched.ScaledScheduler",
        "param_name": "lr",
        "power": 0.5,
        "schedule": {"_target_": "cosched.Phase", "shape": "cosine_annealing", "start_value": 1, "end_value": -0.25},
    }
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    message = r"lr: power=0\.5 of -0\.\d+, a value of schedule, does not exist: give a whole power, or"
    with pytest.raises(ConfigError, match=message):
        TorchScheduler(optimizer, {**node, "schedule": {**node["schedule"], "endpoint": True}}, max_iters=10**7)
    assert optimizer.param_groups[0]["lr"] == 0.1
    TorchScheduler(optimizer, {**node, "schedule": {**node["schedule"], "end_value": 0}}, max_iters=10**7)


numbers = st.floats(-100, 100).map(lambda x: round(x, 3))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, -1, -2, 0, 0.5, 1.5]),
    numbers,
    numbers,
    st.none() | st.integers(1, 9),
    st.integers(0, 3000),
    st.integers(1, 200),
)
def test_bounds_enclose_what_is_scaled(seed, power, factor, offset, multiple, first, count):
    inner = wild(np.random.default_rng(seed), depth=1)
    schedule = Scaled(schedule=inner, power=power, factor=factor, offset=offset, multiple=multiple)
    bounds = schedule.bounds(range(first, first + count))
    if bounds is not None:
        values = schedule.values(range(first, first + count))
        assert bounds[0] <= values.min() <= values.max() <= bounds[1]


def test_bounds_are_known_for_all_that_a_run_may_hold():
    """A run of any length is checked at once: its bounds are as near as those of what stands inside."""
    for power, factor, offset, expected in [(2, 1, 0, (0, 1)), (0.5, -1, 1, (0, 1)), (1, 2, -1, (-1, 1))]:
        schedule = Scaled(schedule=COSINE, power=power, factor=factor, offset=offset)
        assert schedule.bounds(range(10**15)) == pytest.approx(expected, abs=1e-12)
    assert Scaled(schedule=linear(-1, 2, 10), power=2).bounds(range(11)) == pytest.approx((0, 4), abs=1e-12)
    assert Scaled(schedule=COSINE, power=-1).bounds(range(101)) is None, "one of its values is 0"


# Whole numbers


def test_values_are_rounded_to_the_nearest_multiple():
    ramp = Scaled(schedule=linear(32, 100, 68), multiple=16, upper=96)
    values = ramp.values(range(200)).tolist()
    nearest = [min(range(0, 97, 16), key=lambda m: (abs(m - x), m // 16 % 2)) for x in range(32, 101)]
    assert values[:69] == nearest
    assert {*values[68:]} == {96}
    assert [Scaled(schedule=Constant(value=x), multiple=16)(0) for x in (24, 40, -1)] == [32, 32, 0], "to the even one"
    assert math.copysign(1, Scaled(schedule=Constant(value=-1), multiple=16)(0)) == 1, "not -0"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"multiple": 16, "lower": 8}, r"lower=8\.0 is not a multiple of multiple=16, .*: give 0 or 16"),
        ({"multiple": 16, "upper": 100}, r"upper=100\.0 is not a multiple of multiple=16, .*: give 96 or 112"),
        ({"multiple": 0}, "multiple=0 must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_rounded_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Scaled(schedule=COSINE, **fields)


def test_ignites_batch_size_scheduler_takes_a_rounded_schedule():
    handlers = pytest.importorskip("ignite.handlers")
    if not hasattr(handlers, "BatchSizeScheduler"):
        pytest.skip("ignite 0.5.4 and later have it")
    loader = torch.utils.data.DataLoader(torch.arange(1000), batch_size=16)
    sizes = Scaled(schedule=linear(16, 64, 4), multiple=8)
    seen = []
    engine = Engine(lambda engine, batch: seen.append((engine.state.epoch, len(batch))))
    handlers.BatchSizeScheduler(loader, lambda event: int(sizes(event))).attach(engine)
    engine.run(loader, max_epochs=5, epoch_length=3)
    assert dict(seen) == {1: 16, 2: 32, 3: 40, 4: 48, 5: 64}


def test_a_whole_number_in_the_engines_state_stays_one():
    engine = Engine(lambda engine, _: seen.append([engine.state.length, engine.state.weight]))
    seen = []
    engine.state.length, engine.state.weight = 32, 1.0
    lengths = Scaled(schedule=linear(32, 64, 4), multiple=16)
    state = cosched.EngineState(engine)
    scheduler = cosched.BoundScheduler(state, lengths, "length", True)
    cosched.attach(engine, {"length": scheduler, "weight": cosched.BoundScheduler(state, Constant(value=2), "weight")})
    engine.run(range(6))
    assert [length for length, _ in seen] == [32, 32, 48, 64, 64, 64]
    assert {tuple(map(type, pair)) for pair in seen} == {(int, float)}
    engine.state.length = 32
    cosched.detach(engine)
    cosched.attach(engine, cosched.BoundScheduler(state, linear(32, 33, 4), "length"))
    engine.run(range(2))
    assert seen[-1][0] == 32.25, "what is not whole is not rounded"


def test_a_whole_number_in_an_optimizer_becomes_a_float():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1, weight_decay=0)
    cosched.BoundScheduler(optimizer, Constant(value=2), "weight_decay")(None)
    assert type(optimizer.param_groups[0]["weight_decay"]) is float


# Products


def test_a_stable_part_may_fall():
    # timm's WSD, whose stable part falls: a warm-up, a line down from its end on, and a decay, all at once.
    ramp = then((linear(0, 1, 10), 10), (Constant(value=1), 70), (linear(1, 0, 20), 20))
    falls = PiecewiseLinear(milestones=[[10, 1], [80, 0.5]])
    schedule = Product(factors={"wsd": ramp, "falls": falls})
    expected = [
        event / 10 if event < 10 else 1 - (event - 10) / 140 if event < 80 else 0.5 * max(1 - (event - 80) / 20, 0)
        for event in range(150)
    ]
    np.testing.assert_allclose(schedule.values(range(150)), expected, atol=1e-15)


def test_what_a_factor_has_reached_holds():
    schedule = Product(factors={"a": lasting(linear(1, 0, 10), 5), "b": cosine(1, 0.5, 20), "none": lasting(COSINE, 0)})
    assert {*schedule.values(range(20, 99)).tolist(), schedule(10**12)} == {0.25}
    assert {*then((schedule, 8)).values(range(8, 20)).tolist()} == {0.5 * cosine(1, 0.5, 20)(8)}
    assert Product(factors={"none": lasting(COSINE, 0)})(3) == 1


def test_units_in_a_factor_count_in_the_whole_run():
    inner = CosineAnnealing(start_value=1, end_value=0, cycle_size="50%")
    schedule = Product(factors={"short": lasting(inner, "25%"), "long": inner}).resolve(epoch_length=10, max_epochs=4)
    assert (schedule.factors["short"].duration, schedule.factors["long"].cycle_size) == (10, 20)
    with pytest.raises(ValueError, match=r"factors\.short\.duration='25%' needs a run whose end is known"):
        Product(factors={"short": lasting(inner, "25%")}).resolve()
    with pytest.raises(ValueError, match=r"factors\.short\.duration='25%' is not a number of events until"):
        Product(factors={"short": lasting(COSINE, "25%")})(0)


def test_cycles_begin_wherever_one_begins_in_a_factor():
    saw = LinearCyclical(start_value=1, end_value=0, cycle_size=6, monotonic=True, warmup_duration=2)
    schedule = Product(factors={"saw": saw, "once": linear(1, 0, 99)})
    assert schedule.restarts(40).tolist() == saw.restarts(40).tolist()
    assert schedule.cycles(40) == saw.cycles(40)
    slow = CosineAnnealing(start_value=1, end_value=0.5, cycle_size=12)
    both = Product(factors={"saw": saw, "slow": slow})
    assert both.restarts(30).tolist() == sorted({*saw.restarts(30).tolist(), *slow.restarts(30).tolist()})
    begun, ended = both.cycle_bounds(range(30))
    assert begun == {0: 1, 8: 2, 12: 3, 16: 4, 24: 5}
    assert ended == {7: 1, 11: 2, 15: 3, 23: 4}
    alone = Product(factors={"saw": saw, "flat": Constant(value=2)})
    assert alone.cycle_bounds(range(30)) == saw.cycle_bounds(range(30)), "with its warm-up between two cycles"


@pytest.mark.parametrize(
    ("factors", "message"),
    [({}, "factors={} must map names to schedules"), ({"a": 3}, r"factors\.a=3 is not a schedule: .*factors\.a=const")],
)
def test_what_is_not_a_product_is_refused(factors, message):
    with pytest.raises(TypeError, match=message):
        Product(factors=factors)


# One parameter follows another's schedule


def adamw():
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.5)


def following(*overrides, lr=("start_value=0.1", "end_value=0", "cycle_size=50%")):
    options = ["+scheduler@scheduler.lr=cosine_annealing", "+scheduler@scheduler.weight_decay=scaled"]
    given = [f"scheduler.lr.{one}" for one in lr]
    decay = ["param_name=weight_decay", "schedule=${..lr}", "factor=0.5", *overrides]
    with initialize(version_base=None, config_path=None):
        return compose(overrides=[*options, *given, *(f"scheduler.weight_decay.{one}" for one in decay)])


def attached(cfg):
    optimizer, seen = adamw(), []
    engine = Engine(lambda *_: seen.append([optimizer.param_groups[0][name] for name in ("lr", "weight_decay")]))
    cosched.attach(engine, cfg.scheduler, optimizer)
    engine.run(range(10), max_epochs=2)
    return seen


def stepped(cfg):
    optimizer, seen = adamw(), []
    scheduler = TorchScheduler(optimizer, cfg.scheduler, epoch_length=10, max_epochs=2)
    for _ in range(20):
        seen.append([optimizer.param_groups[0][name] for name in ("lr", "weight_decay")])
        optimizer.step()
        scheduler.step()
    return seen


def pure(*schedules):
    resolved = [one.resolve(epoch_length=10, max_epochs=2) for one in schedules]
    return [list(row) for row in zip(*(one.values(range(20)).tolist() for one in resolved), strict=True)]


WAYS = {
    "attach": attached,
    "a plain dict": lambda cfg: attached(
        OmegaConf.create({"scheduler": OmegaConf.to_container(cfg.scheduler, resolve=True, enum_to_str=True)})
    ),
    "TorchScheduler": stepped,
    "to_object": lambda cfg: pure(*map(OmegaConf.to_object, cfg.scheduler.values())),
    "instantiate": lambda cfg: pure(*(instantiate(one, optimizer=adamw()).declared for one in cfg.scheduler.values())),
    "instantiate, of a file": lambda cfg: pure(
        *(
            instantiate(one, optimizer=adamw()).declared
            for one in OmegaConf.create(OmegaConf.to_yaml(cfg)).scheduler.values()
        )
    ),
    "preview": lambda cfg: [
        list(row) for row in zip(*(c.values.tolist() for c in evaluate(cfg, 2, 10)[0]), strict=True)
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_adamcs_weight_decay_is_in_proportion_to_the_rate(way):
    seen = WAYS[way](following())
    rate = [0.1 * (1 + math.cos(math.pi * (event % 10) / 10)) / 2 for event in range(20)]
    np.testing.assert_allclose(seen, [[lr, 0.5 * lr] for lr in rate], rtol=1e-12, atol=1e-17)


def test_what_follows_may_be_followed_and_multiplied():
    cfg = following()
    OmegaConf.set_struct(cfg, False)
    cfg.scheduler.eps = {
        "_target_": "cosched.ProductScheduler",
        "param_name": "eps",
        "factors": {"a": "${...weight_decay}", "b": {"_target_": "cosched.Phase", "shape": "constant", "value": 2}},
    }
    scheduler = TorchScheduler(adamw(), cfg.scheduler, epoch_length=10, max_epochs=2)
    assert scheduler.parts["eps"].schedule(3) == 2 * scheduler.parts["weight_decay"].schedule(3)


def test_a_shape_by_its_registered_name_follows_too():
    rate = {"_target_": "cosched.ConstantScheduler", "param_name": "lr", "value": 0.5}
    decay = {"_target_": "cosched.RegisteredScheduler", "shape": "scaled", "param_name": "weight_decay", "factor": 2}
    parts = TorchScheduler(adamw(), {"lr": rate, "decay": {**decay, "schedule": rate}}).parts
    assert parts["decay"].schedule(7) == 1
    with pytest.raises(ConfigError, match=r"schedule\.event is ITERATION_STARTED, and here it is EPOCH_STARTED"):
        TorchScheduler(adamw(), {**decay, "schedule": rate, "event": "EPOCH_STARTED"}, epoch_length=3)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "preview"])
def test_what_follows_counts_the_same_event(way):
    with pytest.raises(
        Exception, match=r"schedule\.event is EPOCH_STARTED, and here it is ITERATION_STARTED: .* one event"
    ):
        WAYS[way](following(lr=("start_value=0.1", "end_value=0", "cycle_size=10", "event=EPOCH_STARTED")))


def test_both_may_count_epochs():
    cfg = following("event=EPOCH_STARTED", lr=("start_value=0.1", "end_value=0", "cycle_size=2", "event=EPOCH_STARTED"))
    assert [wd for _, wd in attached(cfg)] == [0.05] * 10 + [0.025] * 10


def test_what_follows_knows_how_much_data_an_iteration_has():
    cfg = following(lr=("start_value=0.1", "end_value=0", "cycle_size=40ktok", "tokens_per_iteration=4000"))
    rate = [0.1 * (1 + math.cos(math.pi * (event % 10) / 10)) / 2 for event in range(20)]
    bound = instantiate(cfg.scheduler.weight_decay, optimizer=adamw())
    assert bound.data == {"tokens_per_iteration": 4000, "batch_size": None}
    for way in (attached, stepped, WAYS["to_object"], WAYS["preview"]):
        np.testing.assert_allclose(way(cfg), [[lr, 0.5 * lr] for lr in rate], rtol=1e-12, atol=1e-17)


def test_a_relative_schedule_is_followed_by_its_values_alone():
    cfg = following(lr=("start_value=1", "end_value=0", "cycle_size=10", "relative=true"))
    first = attached(cfg)[0]
    assert first == [0.5, 0.5], "the rate is its initial 0.5 times 1, and the decay 0.5 times that 1"


def test_pickled_and_compared_it_is_what_was_written():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = Phases(phases={"a": lasting(Product(factors={"a": COSINE, "b": Constant(value=2)}), 10)})
        assert one == Phases(phases={"a": lasting(Product(factors={"a": COSINE, "b": Constant(value=2)}), 10)})
