"""Laws that every schedule obeys: whatever is registered is tried, made up from the types of its fields."""

import copy
import dataclasses
import itertools
import math
import pickle
from functools import cache
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from strategies import DURATIONS, SHAPES, schedules

from cosched import Phases, Scaled, Schedule, lasting
from cosched.binding.checkpoint import from_plain, to_plain
from cosched.config.schemas import scheduler as config_of
from cosched.config.schemas import typed
from cosched.schedules.durations import Duration, Event, Run
from cosched.schedules.phase import phase

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult")

RUN = {"epoch_length": 7, "max_epochs": 30}


def with_values(schedule):
    try:
        schedule(0)
    except ValueError:
        return False
    return True


every = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def law(**strategies):
    """A property, for every shape."""

    def decorate(test):
        chosen = settings(deadline=None, suppress_health_check=list(HealthCheck))
        return every(chosen(given(data=st.data(), **strategies)(test)))

    return decorate


@cache
def valued(shape):
    return schedules(shape).filter(with_values)


@cache
def even(shape):
    return valued(shape).filter(whole_multiples)


@law(steps=st.lists(st.integers(0, 400) | st.integers(0, 2**53 - 1), min_size=1, max_size=20))
def test_vectorised_equals_scalar_and_seek_equals_walk(data, shape, steps):
    schedule = data.draw(valued(shape))
    values = schedule.values(steps)
    np.testing.assert_array_equal(values, [copy.deepcopy(schedule)(step) for step in steps])
    walked = schedule.values(range(401))
    near = [i for i, step in enumerate(steps) if step <= 400]
    assert values[near].tolist() == [walked[steps[i]] for i in near]


def numbers(node):
    """Every value that a schedule's fields name."""
    if isinstance(node, Schedule):
        for field in dataclasses.fields(node):
            if field.name == "factors":
                yield math.prod(max(numbers(one)) for one in node.factors.values() if one.duration != 0)
            elif field.name in ("start_value", "end_value", "value", "levels", "milestones", "phases", "schedule"):
                yield from numbers(getattr(node, field.name))
    elif isinstance(node, dict):
        yield from itertools.chain.from_iterable(map(numbers, node.values()))
    elif isinstance(node, tuple):
        yield from (one[1] if isinstance(one, tuple) else one for one in node)
    else:
        yield node


@law()
def test_values_are_within_the_bounds_that_are_declared(data, shape):
    schedule = data.draw(valued(shape))
    values = schedule.values(range(400))
    assert np.isfinite(values).all()
    assert values.max() <= max(numbers(schedule)) * (1 + 1e-12)
    assert values.min() >= 0


def stretched(node, factor):
    """The same schedule with every count of events multiplied."""
    if not isinstance(node, Schedule):
        return {name: stretched(one, factor) for name, one in node.items()} if isinstance(node, dict) else node
    changes, kinds = {}, get_type_hints(type(node))
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.name == "milestones":
            value = [[event * factor, one] for event, one in value]
        elif field.name == "durations":
            value = [one and one * factor for one in value]
        elif kinds[field.name] in (Duration, Duration | None):
            value = value and value * factor
        elif field.name == "amplitude_decay":
            value = value ** (1 / factor)
        else:
            value = stretched(value, factor)
        changes[field.name] = value
    return dataclasses.replace(node, **changes)


def whole_multiples(node):
    """Whether the lengths of all cycles stay in proportion when they are stretched."""
    if isinstance(node, Schedule):
        values = [getattr(node, field.name) for field in dataclasses.fields(node)]
        return getattr(node, "cycle_mult", 1) in (1, 2) and all(map(whole_multiples, values))
    return all(map(whole_multiples, node.values())) if isinstance(node, dict) else True


@law(factor=st.sampled_from([2, 16]))
def test_stretched_it_is_the_same_curve(data, shape, factor):
    schedule = data.draw(even(shape))
    long = stretched(schedule, factor)
    np.testing.assert_allclose(long.values(range(0, 300 * factor, factor)), schedule.values(range(300)), rtol=1e-9)
    assert long.restarts(300 * factor).tolist() == [factor * event for event in schedule.restarts(300)]


@law()
def test_it_jumps_at_restarts_only(data, shape):
    factor = 512
    schedule = stretched(data.draw(even(shape)), factor)
    values = schedule.values(range(40 * factor))
    steps = np.abs(np.diff(values)) / max(numbers(schedule))
    steps[schedule.restarts(40 * factor) - 1] = 0
    ends = np.array(list(schedule.cycle_bounds(range(40 * factor))[1]), dtype=int)
    steps[ends[ends < len(steps)]] = 0  # what follows the last cycle may be its start value again: a triangle's
    assert steps.max() < 0.2


@law()
def test_cycles_are_numbered_in_order(data, shape):
    schedule = data.draw(valued(shape))
    started, completed = schedule.cycle_bounds(range(300))
    assert list(started) == [0, *schedule.restarts(300)]
    assert list(started.values()) == list(range(1, len(started) + 1))
    assert schedule.cycles(300) == len(started)
    assert sorted(completed.values()) == list(range(1, len(completed) + 1))
    assert all(started[first] == number for first, number in zip(started, started.values(), strict=True))
    parts = [schedule.cycle_bounds(range(i, i + 11)) for i in range(0, 300, 11)]
    for whole, which in ((started, 0), (completed, 1)):
        assert {k: v for part in parts for k, v in part[which].items() if k < 300} == whole


@law()
def test_copies_are_equal(data, shape):
    schedule = data.draw(valued(shape))
    walked = [schedule(step) for step in range(99)]
    others = [pickle.loads(pickle.dumps(schedule, protocol)) for protocol in (2, pickle.HIGHEST_PROTOCOL)]
    others += [
        copy.copy(schedule),
        copy.deepcopy(schedule),
        dataclasses.replace(schedule),
        from_plain(to_plain(schedule)),
    ]
    for other in others:
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert other.values(range(99)).tolist() == [other(step) for step in range(99)] == walked
        assert len(pickle.dumps(other)) < 3000 + 200 * len(repr(schedule)), "what was evaluated is not saved"
    with pytest.raises(AttributeError, match="cannot be modified"):
        setattr(schedule, dataclasses.fields(schedule)[0].name, 1)


@law(event=st.sampled_from(Event))
def test_it_goes_through_yaml_and_back(data, shape, event):
    schedule = data.draw(schedules(shape, durations=DURATIONS))
    fields = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(type(schedule)) if f.name[0] != "_"}
    schema = config_of(type(schedule))
    config = schema(**fields, event=event, param_name="momentum", relative=True)
    written = OmegaConf.to_yaml(OmegaConf.structured(config))
    assert OmegaConf.to_object(typed(OmegaConf.to_container(OmegaConf.create(written)))) == config


@law()
def test_resolving_keeps_the_curve(data, shape):
    declared = data.draw(schedules(shape, durations=DURATIONS))
    try:
        resolved = declared.resolve(**RUN)
    except ValueError as refused:
        message = str(refused)
        assert "must be at least" in message or "must ascend" in message
        return
    assert resolved == declared.resolve_in(Run(**RUN))
    assert resolved.resolve(epoch_length=99, max_epochs=99) == resolved, "nothing is left to resolve"


@law()
def test_a_phase_of_its_own_is_the_schedule_itself(data, shape):
    schedule = data.draw(valued(shape))
    alone = Phases(phases={"only": schedule})
    after = Phases(phases={"before": lasting(schedule, 13), "then": lasting(schedule, 40), "rest": schedule})
    assert alone.values(range(200)).tolist() == schedule.values(range(200)).tolist()
    expected = [*schedule.values(range(13)), *schedule.values(range(40)), *schedule.values(range(147))]
    assert after.values(range(200)).tolist() == expected
    assert {type(one) for one in after.phases.values()} == {phase(type(schedule))}


@law(duration=st.integers(1, 200))
def test_what_is_reached_at_an_end_holds(data, shape, duration):
    factor = 512
    inner = data.draw(even(shape))
    end = duration * factor
    for schedule in (
        Phases(phases={"only": lasting(stretched(inner, factor), end)}),
        Phases(
            phases={
                "in": lasting(
                    Phases(
                        phases={
                            "deep": stretched(inner, factor),
                        }
                    ),
                    end,
                )
            }
        ),
        Phases(phases={"in": lasting(Scaled(schedule=stretched(inner, factor)), end)}),
        Scaled(schedule=Phases(phases={"in": lasting(stretched(inner, factor), end)})),
    ):
        before, *after = schedule.values([end - 1, *range(end, end + 50), 10**12])
        assert len({*after}) == 1
        assert abs(before - after[0]) < 0.2 * max(numbers(schedule))
