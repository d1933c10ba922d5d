"""What users get wrong: mypy must see each marked line as it is marked, pyright must see it too, and no other line.

It is read by them and never run.
"""

from collections.abc import Iterator

import torch
from ignite.engine import Engine, Events

import cosched
from cosched import BoundScheduler, Constant, CosineAnnealing, CosineAnnealingScheduler, Phase


def pure(cosine: CosineAnnealing) -> Iterator[object]:
    """Schedules."""
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=10, cycle_mul=2)  # E: [call-arg]
    yield CosineAnnealing(start_value=1, end_value=0)  # E: [call-arg]
    yield CosineAnnealing(1, 0, 10)  # E: [call-arg]
    yield CosineAnnealing(start_value="1", end_value=0, cycle_size=10)  # E: [arg-type]
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=2.5)  # E: [arg-type]
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=None)  # E: [arg-type]
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=10, num_cycles=1.5)  # E: [arg-type]
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=10, endpoint="yes")  # E: [arg-type]
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=10, monotonic=True)  # E: [call-arg]
    yield cosched.LinearCyclical(start_value=1, end_value=0, cycle_size=10, monotone=True)  # E: [call-arg]
    yield cosched.PolynomialAnnealing(start_value=1, end_value=0, cycle_size=10, power="2")  # E: [arg-type]
    yield cosched.SqrtAnnealing(start_value=1, end_value=0, cycle_size=10, exponent=2)  # E: [call-arg]
    yield cosched.TanhAnnealing(start_value=1, end_value=0, cycle_size=10, lower="-6")  # E: [arg-type]
    yield cosched.StepDecay(start_value=1, step_size=10)  # E: [call-arg]
    yield cosched.StepDecay(start_value=1, every=2.5)  # E: [arg-type]
    yield cosched.ExponentialAnnealing(start_value=1, end_value=[0], cycle_size=10)  # E: [arg-type]
    yield cosched.InverseSqrt(start_value=1, time_scale=10)  # E: [call-arg]
    yield Constant(value="1")  # E: [arg-type]
    yield cosched.PiecewiseLinear(milestones=0.1)  # E: [arg-type]
    yield cosched.Phases(phases=[cosine])  # E: [arg-type]
    yield cosched.Phases(phases={"only": cosine}, repeat="2")  # E: [arg-type]
    yield cosched.Branched(phases=[cosine])  # E: [arg-type]
    yield cosched.Scaled(schedule=cosine, lower="0")  # E: [arg-type]
    yield cosched.Scaled(schedule=cosine, multiple=0.5)  # E: [arg-type]
    yield cosched.Product(factors=[cosine])  # E: [arg-type]
    yield cosched.Stages(durations=[1], values=[0.1])  # E: [call-arg]
    yield cosine.resolve(tokens_per_iteration=0.5)  # E: [arg-type]
    yield Phase(duration=10, value=1)  # E: [call-arg]
    yield Phase(shape="constant", duration=2.5, value=1)  # E: [arg-type]
    yield Phase("constant", duration=10, value=1)  # E: [call-arg]
    yield cosched.lasting(0.1, 10)  # E: [arg-type]
    yield cosched.lasting(cosine, 0.5)  # E: [arg-type]
    yield cosched.lasting(cosine, 5, skip=0.5)  # E: [arg-type]
    yield cosched.Run(epochs=3)  # E: [call-arg]
    yield cosched.Run(max_epochs="3")  # E: [arg-type]
    yield cosine.resolve(epochs=3)  # E: [call-arg]
    yield cosine.restarts("100")  # E: [arg-type]
    yield cosine(0.5)  # E: [arg-type]
    yield cosched.CosineAnealing  # E: [attr-defined]


cosched.register("number")(float)  # E: [type-var]
cosched.register(Constant)  # E: [arg-type]


def bound(optimizer: torch.optim.Optimizer, schedule: Constant) -> Iterator[object]:
    """Bound schedulers."""
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, cycle_mul=2)  # E: [call-arg]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0)  # E: [call-arg]
    yield CosineAnnealingScheduler("lr", optimizer, 1, 0, 10)  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 2.5)  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, 2, 1, 1, "history")  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, warmup_duration=None)  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, warmup=3)  # E: [call-arg]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, relativ=True)  # E: [call-arg]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, relative="yes")  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, monotonic=True)  # E: [call-arg]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, event=1)  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, on_mismatch=None)  # E: [arg-type]
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0, 10, param_group=0)  # E: [arg-type]
    yield cosched.LinearCyclicalScheduler(optimizer, "lr", 1, 0, 10, monotone=True)  # E: [call-arg]
    yield cosched.LinearCyclicalScheduler(optimizer, "lr", 1, 0, 10, monotonic="yes")  # E: [arg-type]
    yield cosched.PolynomialAnnealingScheduler(optimizer, "lr", 1, 0, 10, power="2")  # E: [arg-type]
    yield cosched.SqrtAnnealingScheduler(optimizer, "lr", 1, 0, 10, exponent=2)  # E: [call-arg]
    yield cosched.TanhAnnealingScheduler(optimizer, "lr", 1, 0, 10, k_decay=2)  # E: [call-arg]
    yield cosched.StepDecayScheduler(optimizer, "lr", 1, step_size=10)  # E: [call-arg]
    yield cosched.StepDecayScheduler(optimizer, "lr", 1, 0.1, 2.5)  # E: [arg-type]
    yield cosched.InverseSqrtScheduler(optimizer, "lr", 0.1, 10, staircase="yes")  # E: [arg-type]
    yield cosched.ExponentialAnnealingScheduler(optimizer, ["lr"], 1, 0, 10)  # E: [arg-type]
    yield cosched.ConstantScheduler(optimizer, "lr", "0.1")  # E: [arg-type]
    yield cosched.InverseSqrtScheduler(optimizer, "lr", 0.1, time_scale=10)  # E: [call-arg]
    yield cosched.PiecewiseLinearScheduler(optimizer, "lr", 0.1)  # E: [arg-type]
    yield cosched.PhasesScheduler(optimizer, "lr", [schedule])  # E: [arg-type]
    yield cosched.PhasesScheduler(optimizer, "lr", {"only": schedule}, repeat="2")  # E: [arg-type]
    yield cosched.BranchedScheduler(optimizer, "lr", {"only": schedule}, repeat=2)  # E: [call-arg]
    yield cosched.PhasesScheduler(optimizer, "lr", {"only": 0.1})  # E: [dict-item]
    yield cosched.ScaledScheduler(optimizer, "lr", 0.1)  # E: [arg-type]
    yield cosched.ProductScheduler(optimizer, "lr", [Constant(value=0.1)])  # E: [arg-type]
    yield cosched.StagesScheduler(optimizer, "lr", 10, 0.1)  # E: [arg-type]
    yield cosched.RegisteredScheduler(optimizer, shape=Constant, value=1)  # E: [arg-type]
    yield cosched.RegisteredScheduler(optimizer, "constant", relative="yes", value=1)  # E: [arg-type]
    yield BoundScheduler(optimizer, 0.1)  # E: [arg-type]
    yield BoundScheduler(optimizer, schedule, "lr", False, None, "group")  # E: [call-arg]
    yield BoundScheduler(optimizer, schedule, name="lr")  # E: [call-arg]
    yield BoundScheduler(optimizer, schedule, "lr", False, "group")  # E: [arg-type]
    yield BoundScheduler(optimizer.param_groups, schedule)  # E: [arg-type]
    yield cosched.EngineState(optimizer)  # E: [arg-type]
    yield cosched.TorchScheduler(schedule, optimizer)  # E: [arg-type]
    yield cosched.TorchScheduler(optimizer, schedule, epochs=3)  # E: [call-arg]
    yield cosched.TorchScheduler(optimizer, schedule, max_epochs="3")  # E: [arg-type]
    yield cosched.ScheduleCallback(schedule, optimizer=optimizer)  # E: [arg-type]
    yield cosched.ScheduleCallback(schedule, optimiser=0)  # E: [call-arg]
    yield CosineAnnealingScheduler.simulate_values("10", start_value=1, end_value=0, cycle_size=4)  # E: [arg-type]


def attached(engine: Engine, scheduler: BoundScheduler) -> None:
    """Registration."""
    cosched.attach(scheduler, engine)  # E: [arg-type]
    cosched.attach(engine, scheduler, "lr")  # E: [arg-type]
    cosched.attach(engine, scheduler, events=Events.EPOCH_STARTED)  # E: [call-arg]
    cosched.attach(engine, scheduler, event=1)  # E: [arg-type]
    cosched.attach(engine, scheduler, allow=None)  # E: [arg-type]
    cosched.detach(scheduler)  # E: [arg-type]
    scheduler.attach(engine, name=1)  # E: [arg-type]
    cosched.CycleEvents.CYCLE_COMPLETED(name=1)  # E: [arg-type]
    scheduler.load_state_dict(None)  # E: [arg-type]
    scheduler.save_histories = True  # E: [attr-defined]
