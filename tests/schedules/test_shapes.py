"""The shapes and what is composed of them, against torch's and ignite's own schedulers over whole runs."""

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
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    PiecewiseLinear,
    PolynomialAnnealing,
    Scaled,
    SqrtAnnealing,
    StepDecay,
    TanhAnnealing,
)

S, N = 0.1, 300


def optimizer(lr=S):
    return torch.optim.SGD([torch.zeros(1)], lr=lr, momentum=0.9)


def torchs(make, events=N, key="lr"):
    """What torch's scheduler sets before each of so many steps."""
    with_lr = optimizer()
    scheduler = make(with_lr)
    seen = []
    for _ in range(events):
        seen.append(float(with_lr.param_groups[0][key]))
        with_lr.step()
        scheduler.step()
    return seen


def ignites(make, events=N):
    """What ignite's scheduler sets in each of so many iterations."""
    with_lr = optimizer()
    seen = []
    engine = Engine(lambda *_: seen.append(with_lr.param_groups[0]["lr"]))
    engine.add_event_handler(Events.ITERATION_STARTED, make(with_lr))
    engine.run(range(events))
    return seen


CYCLIC = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 20, "cycle_momentum": False}
TRIANGLE = {"start_value": 0.01, "end_value": 0.1, "cycle_size": 40}
STEPS = {"start_value": S, "end_value": S, "monotonic": True, "start_value_mult": 0.5, "end_value_mult": 0.5}


@pytest.mark.parametrize(
    ("schedule", "oracle"),
    [
        (linear(S, 0, 250), lambda o: torch_lr.PolynomialLR(o, 250)),
        (linear(S, 0, 250, power=2.5), lambda o: torch_lr.PolynomialLR(o, 250, power=2.5)),
        (linear(S, 0, 250, power=0.9), lambda o: torch_lr.PolynomialLR(o, 250, power=0.9)),
        (
            ExponentialAnnealing(start_value=S, end_value=S * 0.98**100, cycle_size=100, num_cycles=3),
            lambda o: torch_lr.SequentialLR(o, [torch_lr.ExponentialLR(o, 0.98) for _ in range(3)], [100, 200]),
        ),
        (
            ExponentialAnnealing(start_value=S, end_value=S * 0.98**N, cycle_size=N),
            lambda o: torch_lr.ExponentialLR(o, 0.98),
        ),
        (linear(S / 4, S * 0.7, 99), lambda o: torch_lr.LinearLR(o, 0.25, 0.7, 99)),
        (Constant(value=S), lambda o: torch_lr.ConstantLR(o, 1.0)),
        (LinearCyclical(**STEPS, cycle_size=30), lambda o: torch_lr.StepLR(o, 30, 0.5)),
        (
            then((Constant(value=S), 70), (Constant(value=S / 10), 130), (Constant(value=S / 100), None)),
            lambda o: torch_lr.MultiStepLR(o, [70, 200], 0.1),
        ),
        (
            then((linear(S / 10, S, 50), 50), (linear(S, S / 2, 100), 120), (linear(S, 0, 130, power=2), None)),
            lambda o: torch_lr.SequentialLR(
                o,
                [
                    torch_lr.LinearLR(o, 0.1, 1, 50),
                    torch_lr.LinearLR(o, 1, 0.5, 100),
                    torch_lr.PolynomialLR(o, 130, 2),
                ],
                [50, 170],
            ),
        ),
        (
            CosineAnnealing(start_value=S, end_value=1e-4, cycle_size=12, cycle_mult=2),
            lambda o: torch_lr.CosineAnnealingWarmRestarts(o, 12, 2, 1e-4),
        ),
        (LinearCyclical(**TRIANGLE), lambda o: torch_lr.CyclicLR(o, **CYCLIC, mode="triangular")),
        (LinearCyclical(**TRIANGLE, amplitude_mult=0.5), lambda o: torch_lr.CyclicLR(o, **CYCLIC, mode="triangular2")),
        (
            LinearCyclical(**TRIANGLE, amplitude_decay=0.994),
            lambda o: torch_lr.CyclicLR(o, **CYCLIC, mode="exp_range", gamma=0.994),
        ),
    ],
)
def test_equals_torchs(schedule, oracle):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # torch's about its own deprecations
        expected = torchs(oracle)
    scale = max(expected)
    np.testing.assert_allclose(schedule.values(range(N)), expected, rtol=1e-12, atol=1e-15 * scale)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.45])
def test_one_cycle_equals_torchs_with_its_momentum(anneal, three, part):
    def make(o):
        return torch_lr.OneCycleLR(
            o, S, total_steps=200, pct_start=part, anneal_strategy=anneal, three_phase=three, final_div_factor=100
        )

    move = cosine if anneal == "cos" else linear
    up = round(part * 200) - 1
    low, final = S / 25, S / 25 / 100
    for key, ends in (("lr", (low, S, low, final)), ("momentum", (0.95, 0.85, 0.95, 0.95))):
        parts = [(move(ends[0], ends[1], up), up)]
        if three:
            parts += [(move(ends[1], ends[2], up), up), (move(ends[2], ends[3], 200 - 2 * up, endpoint=True), None)]
        else:
            parts += [(move(ends[1], ends[3], 200 - up, endpoint=True), None)]
        expected = torchs(make, 199, key)
        np.testing.assert_allclose(then(*parts).values(range(199)), expected, rtol=1e-12)


def test_inverse_sqrt_is_noams():
    warmup, peak = 40, 0.1
    schedule = then((linear(0, peak, warmup), warmup), (InverseSqrt(start_value=peak, timescale=warmup), None))
    scale = peak * warmup**0.5
    expected = [0.0, *(scale * min(step**-0.5, step * warmup**-1.5) for step in range(1, N))]
    np.testing.assert_allclose(schedule.values(range(N)), expected, rtol=1e-12)


STEP = StepDecay(start_value=S, gamma=0.3, every=30)
MULTI_STEP = StepDecay(start_value=S, gamma=0.3, milestones=[40, 41, 200])


@pytest.mark.parametrize(
    ("schedule", "oracle", "firsts"),
    [
        (STEP, lambda o: torch_lr.StepLR(o, 30, 0.3), [*range(30, N, 30)]),
        (MULTI_STEP, lambda o: torch_lr.MultiStepLR(o, [40, 41, 200], 0.3), [40, 41, 200]),
    ],
)
def test_steps_equal_torchs_and_each_is_a_cycle(schedule, oracle, firsts):
    expected = np.array(torchs(oracle))
    np.testing.assert_allclose(schedule.values(range(N)), expected, rtol=1e-14)
    assert np.flatnonzero(np.diff(expected)).tolist() == [first - 1 for first in firsts]
    assert schedule.restarts(N).tolist() == firsts
    begun, ended = schedule.cycle_bounds(range(N))
    assert begun == dict(zip([0, *firsts], range(1, len(firsts) + 2), strict=True))
    assert {event: number for event, number in ended.items() if event < N - 1} == {
        first - 1: number for number, first in enumerate(firsts, 1)
    }
    assert [schedule.cycles(n) for n in range(N)] == [0, *np.searchsorted(firsts, range(N - 1), side="right") + 1]


def test_steps_have_units_and_far_values():
    declared = StepDecay(start_value=1, gamma=0.5, milestones=["3ep", "50%", "90%"])
    assert declared.resolve(epoch_length=10, max_epochs=10).milestones == (30, 50, 90)
    assert StepDecay(start_value=1, every="30%").resolve(max_iters=100).every == 30
    assert StepDecay(start_value=1, gamma=1, every=7)(2**53 - 1) == 1
    with pytest.raises(ValueError, match="'3ep' is not a number of events until the run is known"):
        declared(0)
    with pytest.raises(ValueError, match=r"milestones=\[30, 20\] must ascend"):
        StepDecay(start_value=1, milestones=["3ep", "20it"]).resolve(epoch_length=10, max_epochs=10)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({}, ValueError, r"every=None and milestones=\[\]: give one of them, every=10 for"),
        ({"every": 3, "milestones": [4]}, ValueError, r"every=3 and milestones=\[4\]: give one of them"),
        ({"every": 0}, ValueError, "every=0 must be a whole number of at least 1"),
        ({"milestones": [0, 4]}, ValueError, r"milestones\[0\]=0 must be a whole number of at least 1"),
        ({"milestones": [4, 4]}, ValueError, r"milestones=\[4, 4\] must ascend"),
        ({"milestones": 30}, TypeError, r"milestones=30 must be a list of events, as \[30ep, 60ep\]"),
        ({"milestones": [[30, 0.1]]}, TypeError, r"milestones\[0\]=\[30, 0\.1\] is not a number of events"),
    ],
)
def test_steps_that_cannot_be_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        StepDecay(start_value=1, **fields)


def test_a_step_that_comes_with_the_end_of_a_phase_does_not_come():
    halves = StepDecay(start_value=1, gamma=0.5, every=2)
    schedule = then((halves, 4), (Constant(value=None), 2), (linear(None, 0, 4), None))
    assert schedule.values(range(9)).tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.375, 0.25]


X = np.arange(61) / 60


@pytest.mark.parametrize(
    ("shape", "fields", "remaining"),
    [
        (SqrtAnnealing, {"power": 2}, 1 - X**2),
        (SqrtAnnealing, {"power": 0.3}, 1 - X**0.3),
        (PolynomialAnnealing, {"k_decay": 2}, 1 - X**2),
        (PolynomialAnnealing, {"k_decay": 1.7, "power": 0.6}, (1 - X**1.7) ** 0.6),
        (CosineAnnealing, {"k_decay": 1.7}, (1 + np.cos(np.pi * X**1.7)) / 2),
        (CosineAnnealing, {"power": 1.5}, ((1 + np.cos(np.pi * X)) / 2) ** 1.5),
        (TanhAnnealing, {"lower": -6, "upper": 4}, (1 - np.tanh(-6 * (1 - X) + 4 * X)) / 2),
    ],
)
def test_a_shape_is_its_formula(shape, fields, remaining):
    schedule = shape(start_value=S, end_value=0.01, cycle_size=60, num_cycles=1, **fields)
    np.testing.assert_allclose(schedule.values(range(61)), 0.01 + 0.09 * remaining, rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "oracle"),
    [
        ({"power": 0.51}, lambda t: 1 / (1 + t / 7) ** 0.51),
        ({"power": 1, "decay_rate": 2.5}, lambda t: 1 / (1 + 2.5 * t / 7)),
        ({"power": 1, "decay_rate": 2.5, "staircase": True}, lambda t: 1 / (1 + 2.5 * (t // 7))),
    ],
)
def test_inverse_powers_of_time(fields, oracle):
    schedule = InverseSqrt(start_value=S, timescale=7, **fields)
    np.testing.assert_allclose(schedule.values(range(N)), [S * oracle(t) for t in range(N)], rtol=1e-14)


def test_the_power_schedulers_rule_needs_a_bound_only():
    peak, a, b = 0.02, 0.15, 0.51
    schedule = Scaled(schedule=InverseSqrt(start_value=a, timescale=1, power=b), upper=peak)
    np.testing.assert_allclose(schedule.values(range(N)), [min(peak, a * (t + 1) ** -b) for t in range(N)], rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (SqrtAnnealing, {"power": 0}),
        (CosineAnnealing, {"power": -1}),
        (CosineAnnealing, {"k_decay": 0}),
        (PolynomialAnnealing, {"k_decay": -2}),
        (InverseSqrt, {"power": 0}),
        (InverseSqrt, {"decay_rate": -1}),
    ],
)
def test_powers_are_above_0(shape, fields):
    [(name, value)] = fields.items()
    more = {"timescale": 5} if shape is InverseSqrt else {"end_value": 0, "cycle_size": 5}
    with pytest.raises(ValueError, match=rf"^{name}={float(value)} must be above 0"):
        shape(start_value=1, **more, **fields)


def test_the_ends_of_a_tangent_are_in_order():
    with pytest.raises(ValueError, match=r"lower=3\.0 must be below upper=3\.0"):
        TanhAnnealing(start_value=1, end_value=0, cycle_size=5, lower=3)


def test_ignites_name_of_milestones_is_understood():
    with pytest.raises(TypeError, match="no argument 'milestones_values': did you mean 'milestones'"):
        cosched.PiecewiseLinearScheduler(optimizer(), "lr", milestones_values=POINTS)
    config = {"_target_": "cosched.PiecewiseLinearScheduler", "milestones_values": [[0, 1]]}
    with pytest.raises(cosched.ConfigError, match=r"'milestones_values'.*did you mean 'milestones'"):
        cosched.attach(Engine(lambda *_: None), config, optimizer())


def test_sqrt_annealing_is_the_papers():
    expected = [0.01 + 0.09 * (1 - (i / 60) ** 0.5) for i in range(61)]
    schedule = SqrtAnnealing(start_value=S, end_value=0.01, cycle_size=60, num_cycles=1)
    np.testing.assert_allclose(schedule.values(range(61)), expected, rtol=1e-12)


POINTS = [(10, 0.5), (30, 1.0), (31, 0.2), (100, 0.3)]


def test_equals_ignites_piecewise_linear():
    expected = ignites(lambda o: ignite.PiecewiseLinear(o, "lr", milestones_values=POINTS))
    ours = PiecewiseLinear(milestones=[list(point) for point in POINTS])
    np.testing.assert_allclose(ours.values(range(N)), expected, rtol=1e-12)


def test_equals_ignites_concat_scheduler():
    def make(o):
        return ignite.ConcatScheduler(
            [
                ignite.LinearCyclicalScheduler(o, "lr", 0.2, 1, 60),
                ignite.CosineAnnealingScheduler(o, "lr", 0.6, 0.1, 25, cycle_mult=1.5, end_value_mult=0.8),
                ignite.PiecewiseLinear(o, "lr", milestones_values=POINTS),
            ],
            [30, 100],
        )

    warm = CosineAnnealing(start_value=0.6, end_value=0.1, cycle_size=25, cycle_mult=1.5, end_value_mult=0.8)
    ours = then(
        (LinearCyclical(start_value=0.2, end_value=1, cycle_size=60), 30),
        (warm, 100),
        (PiecewiseLinear(milestones=POINTS), None),
    )
    np.testing.assert_allclose(ours.values(range(N)), ignites(make), rtol=1e-12)


def test_equals_ignites_warmup():
    def make(o):
        after = ignite.CosineAnnealingScheduler(o, "lr", S, 0.001, 80)
        return ignite.create_lr_scheduler_with_warmup(after, 0.0, 20)

    # ignite's warm-up ends one event before the value that the schedule begins with.
    warmup = linear(0, S, 19)
    ours = then((warmup, 19), (CosineAnnealing(start_value=S, end_value=0.001, cycle_size=80), None))
    np.testing.assert_allclose(ours.values(range(N)), ignites(make), rtol=1e-12)


def test_equal_factors_go_down_to_0_where_multipliers_leave_float64s_range():
    fields = {"start_value": 1, "end_value": 0.64, "start_value_mult": 0.64, "end_value_mult": 0.64}
    values = ExponentialAnnealing(**fields, cycle_size=2).values(range(4000))
    oracle = np.exp(np.arange(4000) / 2 * np.log(0.64))
    assert values == pytest.approx(oracle, rel=1e-9, abs=1e-300)
    assert values[-1] == 0.0
