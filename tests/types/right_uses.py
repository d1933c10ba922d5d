"""What is right: neither mypy nor pyright may complain about a line of it. It is read by them and never run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from ignite.engine import Engine, Events
from ignite.handlers import ConcatScheduler, create_lr_scheduler_with_warmup
from omegaconf import DictConfig

import cosched
from cosched import BoundScheduler, CosineAnnealing, CosineAnnealingScheduler, CycleEvents, EngineState, Phase, Phases


@cosched.register("square")
@dataclass(kw_only=True)
class Square(cosched.CyclicalSchedule):
    """A shape of another package."""

    sharpness: float = 2.0


def pure() -> Iterator[float]:
    """Schedules."""
    cosine = CosineAnnealing(start_value=1, end_value=0.0, cycle_size="10ep", cycle_mult=2, num_cycles=None)
    resolved: CosineAnnealing = cosine.resolve(epoch_length=10)
    longer: CosineAnnealing = replace(resolved, cycle_size=20)
    yield longer(3)
    yield float(longer.values(range(10)).max())
    yield from [float(event) for event in longer.restarts(100)]
    yield Square(start_value=1, end_value=0, cycle_size=10, sharpness=3)(0)
    yield cosched.LinearCyclical(start_value=1, end_value=0, cycle_size=10, monotonic=True)(0)
    yield cosched.PolynomialAnnealing(start_value=1, end_value=0, cycle_size=10, power=2)(0)
    yield cosched.PiecewiseLinear(milestones=[[0, 0.1], ["10ep", 1]])(0)
    yield CosineAnnealing(start_value=1, end_value=0, cycle_size=10, startpoint=False, k_decay=2, power=2)(0)
    yield cosched.SqrtAnnealing(start_value=1, end_value=0, cycle_size=10, power=2)(0)
    yield cosched.TanhAnnealing(start_value=1, end_value=0, cycle_size=10, lower=-6, upper=4)(0)
    yield cosched.StepDecay(start_value=1, gamma=0.5, every="10ep")(0)
    yield cosched.StepDecay(start_value=1, milestones=[10, "50%"])(0)
    yield cosched.InverseSqrt(start_value=1, timescale="1ep", power=1, decay_rate=2.5, staircase=True)(0)
    yield cosched.InverseSqrt(start_value=1, timescale="1ep")(0)
    first: Phase = cosched.lasting(cosched.Constant(value=1), "1ep")
    then = Phase(shape="cosine_annealing", duration=10, start_value=1, end_value=0)
    yield Phases(phases={"first": first, "then": then, "last": cosine})(0)
    yield Phases(phases={"only": cosched.lasting(cosine, "1ep", skip="5it")}, repeat=None)(0)
    yield cosched.Branched(phases={"trunk": first, "branch": cosched.Constant(value=None)})(0)
    yield cosched.Scaled(schedule=cosine, factor=2, lower=None, upper=1)(0)
    yield cosched.Scaled(schedule=cosine, power=0.5, offset=-1, multiple=8)(0)
    yield cosched.Product(factors={"a": cosine, "b": cosched.lasting(cosine, "2Btok")})(0)
    yield cosched.Stages(durations=["10ep", 5, None], levels=[1, 0.5, 0.1], whole=False)(0)
    yield cosine.resolve(tokens_per_iteration=4096, batch_size=8)(0)
    yield float(cosched.Run(per_epoch=True, max_epochs=3).num_events or 0)


def bound(optimizer: torch.optim.Optimizer, engine: Engine) -> Iterator[BoundScheduler]:
    """Bound schedulers."""
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0.1, 10)
    yield CosineAnnealingScheduler(optimizer, "lr", 1.0, 0.1, "1ep", 2.0, 0.5, 0.25, True, -1, warmup_duration="5it")
    yield CosineAnnealingScheduler(
        optimizer, "lr", start_value=1, end_value=0, cycle_size=10, endpoint=True, event="EPOCH_STARTED"
    )
    yield cosched.LinearCyclicalScheduler(optimizer, "betas[0]", 1, 0.1, 10, monotonic=True, relative=True)
    yield cosched.PolynomialAnnealingScheduler(optimizer, "lr", 1, 0.1, 10, power=2, on_mismatch="config")
    yield cosched.SqrtAnnealingScheduler(optimizer, "lr", 1, 0.1, 10, on_mismatch=cosched.Mismatch.checkpoint)
    yield cosched.ExponentialAnnealingScheduler(optimizer, "lr", 1, 0.1, 10, event=cosched.Event.EPOCH_STARTED)
    yield cosched.ConstantScheduler(optimizer, "lr", 0.1, param_group="backbone.*")
    yield cosched.InverseSqrtScheduler(optimizer, "lr", 0.1, "1ep", event=Events.ITERATION_STARTED(every=4))
    yield CosineAnnealingScheduler(optimizer, "lr", 1, 0.1, 10, startpoint=False, k_decay=2, power=0.5)
    yield cosched.SqrtAnnealingScheduler(optimizer, "lr", 1, 0.1, 10, power=2)
    yield cosched.TanhAnnealingScheduler(optimizer, "lr", 1, 0.1, "10ep", lower=-6, upper=4)
    yield cosched.StepDecayScheduler(optimizer, "lr", 0.1, 0.5, "10ep")
    yield cosched.StepDecayScheduler(optimizer, "lr", 0.1, milestones=[10, "50%"], event="EPOCH_STARTED")
    yield cosched.InverseSqrtScheduler(optimizer, "lr", 0.1, "1ep", power=1, decay_rate=2.5, staircase=True)
    milestones = [[0, 0.1], ["10ep", 1]]
    yield cosched.PiecewiseLinearScheduler(optimizer, "lr", milestones)
    yield cosched.PiecewiseLinearScheduler(optimizer, "lr", [(0, 0.1), ("10ep", 1)])
    constant = cosched.Constant(value=0.1)
    phases = {"first": cosched.lasting(constant, 3), "then": constant}
    yield cosched.PhasesScheduler(optimizer, "lr", phases, event=Events.EPOCH_STARTED)
    yield cosched.PhasesScheduler(optimizer, "lr", {"only": phases["first"]}, repeat=3, on_mismatch="branch")
    yield cosched.BranchedScheduler(optimizer, "lr", phases)
    yield cosched.ScaledScheduler(optimizer, "lr", constant, 2, lower=0.1, save_history=True)
    yield cosched.ScaledScheduler(optimizer, "lr", constant, power=2, offset=1, multiple=None, batch_size=8)
    yield cosched.ProductScheduler(optimizer, "lr", {"a": constant, "b": constant})
    yield cosched.StagesScheduler(optimizer, "lr", ["50%", None], (1, 0.1), whole=False)
    yield cosched.RegisteredScheduler(optimizer, "square", "lr", start_value=1, end_value=0, cycle_size=4, sharpness=3)
    yield BoundScheduler(optimizer, constant)
    yield BoundScheduler(EngineState(engine), constant, "temperature", True, relative=False)
    yield BoundScheduler(optimizer, Square(start_value=1, end_value=0, cycle_size=10), "weight_decay")


def stepped(optimizer: torch.optim.Optimizer, cfg: DictConfig) -> Iterator[torch.optim.lr_scheduler.LRScheduler]:
    """In a loop that steps torch's schedulers."""
    yield cosched.TorchScheduler(optimizer, cosched.Constant(value=0.1))
    yield cosched.TorchScheduler(optimizer, cfg, epoch_length=10, max_epochs=3, event="EPOCH_STARTED", allow=["mine."])
    yield cosched.TorchScheduler(optimizer, cfg, tokens_per_iteration=4096, batch_size=None)
    yield cosched.TorchScheduler(optimizer, {"lr": CosineAnnealingScheduler(optimizer, "lr", 1, 0.1, 10)}, max_iters=9)


def called_back(cfg: DictConfig) -> Iterator[object]:
    """In Lightning's loop."""
    yield cosched.ScheduleCallback(cosched.Constant(value=0.1))
    yield cosched.ScheduleCallback({"lr": cfg}, optimizer=1, allow=["mine."])
    yield cosched.ScheduleCallback(cfg, tokens_per_iteration=4096, batch_size=8)


def attached(optimizer: torch.optim.Optimizer, engine: Engine, cfg: DictConfig) -> None:
    """Registration and what comes after it."""
    scheduler = CosineAnnealingScheduler(optimizer, "lr", 1, 0.1, 10)
    scheduler.attach(engine, Events.EPOCH_STARTED, "rate")
    scheduler.save_history = True
    scheduler.detach()
    cosched.attach(engine, scheduler)
    cosched.attach(engine, cfg, optimizer, event="EPOCH_STARTED", allow=["my_package.MyScheduler"])
    cosched.attach(engine, cfg, optimizer, tokens_per_iteration=4096, batch_size=8)
    both = cosched.attach(engine, {"lr": scheduler, "momentum": cfg}, optimizer)
    cosched.detach(engine, both)
    cosched.detach(engine)
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler, "lr")
    engine.add_event_handler(CycleEvents.CYCLE_COMPLETED, print)
    engine.add_event_handler(CycleEvents.CYCLE_COMPLETED(name="lr", every=2), print)
    rate: float = scheduler.get_param() + scheduler.schedule(3)
    state = scheduler.state_dict()
    scheduler.load_state_dict(state)
    values: list[list[float]] = CosineAnnealingScheduler.simulate_values(
        10, param_name="lr", start_value=rate, end_value=0, cycle_size=4
    )
    print(values, scheduler.event_index, scheduler.save_history)
    ConcatScheduler([scheduler, CosineAnnealingScheduler(optimizer, "lr", 1, 0.1, 10)], durations=[10])
    create_lr_scheduler_with_warmup(scheduler, warmup_start_value=0.0, warmup_end_value=0.1, warmup_duration=3)
