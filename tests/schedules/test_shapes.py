"""The shapes and what is composed of them, against torch's and ignite's own schedulers over whole runs."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite
from strategies import cosine, linear, then
from torch.optim import lr_scheduler as torch_lr

from cosched import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    PiecewiseLinear,
    SqrtAnnealing,
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
