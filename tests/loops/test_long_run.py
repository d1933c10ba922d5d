"""A run of a million events."""

import gc
import itertools
import random
import sys
from collections import Counter

import pytest
from ignite.engine import Engine

import cosched
from cosched.config.schemas import scheduler
from cosched.schedules.phase import phase

LENGTH = 10**6
LONG = {
    "lr": scheduler.cosine_annealing(start_value=0.1, end_value=0.001, cycle_size=100, cycle_mult=1.5),
    "momentum": scheduler.linear_cyclical(
        start_value=0.95, end_value=0.85, cycle_size=777, param_name="momentum", amplitude_mult=0.999
    ),
    "weight_decay": scheduler.phases(
        phases={
            "up": phase.polynomial_annealing(start_value=0, end_value=0.01, power=2, duration="5%"),
            "stay": phase.constant(value=0.01, duration="500000it"),
            "down": phase.sqrt_annealing(start_value=0.01, end_value=1e-5),
        },
        param_name="weight_decay",
    ),
    "temperature": scheduler.exponential_annealing(
        start_value=10, end_value=0.1, cycle_size="10%", warmup_duration=1000, param_name="engine.state.temperature"
    ),
}


@pytest.mark.slow
def test_a_million_events_neither_drift_nor_fill_the_memory(sgd):
    # Made without an engine, so nothing that the run does can be in them.
    pure = {name: one.resolve(epoch_length=LENGTH, max_epochs=1) for name, one in LONG.items()}
    # The first and the last event, and both sides of where a block of 4096 values gives way to the next.
    edges = [edge + i for edge in range(4096, LENGTH, 40960) for i in (0, 1)]
    chosen = random.Random(1).sample(range(2, LENGTH), 1000)
    sampled = {1, LENGTH, *edges, *chosen}
    blocks, checked, wrong = {}, Counter(), []

    def step(engine, batch):
        iteration = engine.state.iteration
        if iteration in sampled:
            held = {**sgd.param_groups[-1], "temperature": engine.state.temperature}
            for name, schedule in pure.items():
                checked[name] += 1
                if held[name] != schedule(iteration - 1):
                    wrong.append((name, iteration))
        if iteration in (LENGTH // 5, LENGTH):
            gc.collect()
            blocks[iteration] = sys.getallocatedblocks()

    engine = Engine(step)
    engine.state.temperature = 1.0
    cosched.attach(engine, LONG, sgd)
    engine.run(itertools.repeat(None), max_epochs=1, epoch_length=LENGTH)
    assert wrong == []
    assert set(checked.values()) == {len(sampled)}
    assert not hasattr(engine.state, "param_history")
    # What is kept per event would be 800,000 blocks; a table of cycles may grow by a few rows.
    assert blocks[LENGTH] - blocks[LENGTH // 5] < 1000
