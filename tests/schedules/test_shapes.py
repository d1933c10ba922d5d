"""The shapes and what is composed of them, against torch's and ignite's own schedulers over whole runs."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as ignite
from torch.optim import lr_scheduler as torch_lr

import cosched
from cosched import (
    Constant,
    CosineAnnealing,
    ExponentialAnnealing,
    InverseSqrt,
    LinearCyclical,
    Phases,
    PiecewiseLinear,
    PolynomialAnnealing,
    Scaled,
    SqrtAnnealing,
    lasting,
)
from cosched.schedules.phases import phase

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


def linear(start, end, size, **fields):
    return PolynomialAnnealing(start_value=start, end_value=end, cycle_size=size, num_cycles=1, **fields)


def cosine(start, end, size, **fields):
    return CosineAnnealing(start_value=start, end_value=end, cycle_size=size, num_cycles=1, **fields)


def then(*phases):
    return Phases(phases={f"p{i}": lasting(one, duration) for i, (one, duration) in enumerate(phases)})


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


# Composition


def test_a_phase_of_no_events_is_left_out():
    one, rest = Constant(value=1), linear(1, 0, 9)
    assert then((rest, 0), (one, 3), (rest, 0), (rest, None)) != then((one, 3), (rest, None))
    both = then((rest, 0), (one, 3), (rest, 0), (rest, None)), then((one, 3), (rest, None))
    assert both[0].values(range(20)).tolist() == both[1].values(range(20)).tolist()
    with pytest.raises(ValueError, match="no events at all"):
        then((one, 0))(0)


def test_what_the_last_phase_has_reached_holds():
    once = then((cosine(1, 0.25, 10), 10))
    assert set(once.values(range(10, 50))) == {0.25}
    again = then((CosineAnnealing(start_value=1, end_value=0.25, cycle_size=5), 10))
    assert set(again.values(range(10, 50))) == {0.25}, "not the start of a cycle that is not begun"
    cut = then((cosine(1, 0, 10), 5))
    assert set(cut.values(range(5, 50))) == {0.5}


def test_units_count_in_the_whole_run_at_any_depth():
    inner = Phases(phases={"a": lasting(Constant(value=1), "25%"), "b": Constant(value=2)})
    outer = Phases(phases={"x": lasting(Constant(value=0), "10%"), "y": lasting(inner, "50%"), "z": Constant(value=3)})
    values = outer.resolve(epoch_length=10, max_epochs=10).values(range(100))
    assert [list(values).count(value) for value in (0, 1, 2, 3)] == [10, 25, 25, 40]


def test_a_cycle_without_a_size_lasts_as_long_as_its_phase():
    decay = phase(CosineAnnealing)
    phases = {"hold": lasting(Constant(value=1), "20%"), "decay": decay(start_value=1, end_value=0)}
    resolved = Phases(phases=phases).resolve(epoch_length=10, max_epochs=10)
    assert resolved.phases["decay"].cycle_size == 80
    nested = Phases(phases={"first": lasting(Phases(phases=phases), "60%"), "rest": Constant(value=0)})
    assert nested.resolve(epoch_length=10, max_epochs=10).phases["first"].phases["decay"].cycle_size == 40
    scaled = lasting(Scaled(schedule=decay(start_value=1, end_value=0)), "30%")
    third = Phases(phases={"scaled": scaled, "rest": Constant(value=0)}).resolve(epoch_length=10, max_epochs=10)
    assert third.phases["scaled"].schedule.cycle_size == 30
    with pytest.raises(ValueError, match=r"phases.decay.cycle_size is missing and would last to the end of the run"):
        Phases(phases={"decay": decay(start_value=1, end_value=0)}).resolve(epoch_length=10)


def test_scaled_and_clipped():
    schedule = Scaled(schedule=CosineAnnealing(start_value=1, end_value=0, cycle_size=10), factor=3, lower=0.5, upper=2)
    inner = CosineAnnealing(start_value=1, end_value=0, cycle_size=10).values(range(30))
    assert schedule.values(range(30)).tolist() == [min(max(3 * value, 0.5), 2) for value in inner]
    assert schedule.restarts(30).tolist() == [10, 20]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: linear(1, 0, 5, power=0), ValueError, "power=0.0 must be above 0"),
        (lambda: ExponentialAnnealing(start_value=1, end_value=0, cycle_size=5), ValueError, "end_value=0.0 cannot be"),
        (
            lambda: InverseSqrt(start_value=1, timescale=0),
            ValueError,
            "timescale=0 must be a whole number of at least 1",
        ),
        (lambda: PiecewiseLinear(milestones=[]), TypeError, r"milestones=\[\] must be a list of pairs"),
        (lambda: PiecewiseLinear(milestones=[[0, 1], 3]), TypeError, r"milestones\[1\]=3 must be a pair"),
        (lambda: PiecewiseLinear(milestones=[[0, 1], [0, 2]]), ValueError, "must ascend"),
        (lambda: PiecewiseLinear(milestones=[["3e", 1]]), ValueError, r"milestones\[0\]\[0\]='3e' is no duration"),
        (lambda: PiecewiseLinear(milestones=[[3, "a"]]), TypeError, r"milestones\[0\]\[1\]='a' is not a number"),
        (lambda: Phases(phases={}), TypeError, "phases={} must map names to schedules"),
        (lambda: Phases(phases={"a": 3}), TypeError, "phases.a=3 is no schedule: .*phase@scheduler.phases.a=constant"),
        (lambda: then((Constant(value=1), None), (Constant(value=1), 3)), ValueError, "phases.p0.duration is missing"),
        (lambda: lasting(Constant(value=1), "3e"), ValueError, "duration='3e' is no duration"),
        (lambda: Scaled(schedule=Constant(value=1), lower=2, upper=1), ValueError, r"lower=2\.0 is above upper=1\.0"),
        (lambda: Scaled(schedule=3), TypeError, "schedule=3 is no schedule"),
        (lambda: Scaled(schedule=Constant(value=1), lower="a"), TypeError, "lower='a' is not a number"),
        (
            lambda: then((Constant(value=1), "1ep"), (Constant(value=1), None))(0),
            ValueError,
            "phases.p0.duration='1ep'",
        ),
    ],
)
def test_mistakes_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Bound, and beside others


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
