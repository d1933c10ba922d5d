"""Schedules to test with: random ones of every registered shape, and some that are short to write."""

import dataclasses
import warnings
from functools import cache

from hypothesis import strategies as st

from cosched import Branched, CosineAnnealing, Phases, PolynomialAnnealing, Scaled, Stages, lasting
from cosched.schedules.annealing import TanhAnnealing
from cosched.schedules.registry import registered
from cosched.schedules.shapes import StepDecay

SHAPES = dict(sorted(registered().items()))  # whichever modules are loaded first

EVENTS = st.integers(2, 60)
NUMBERS = st.floats(0.01, 10)
DURATIONS = EVENTS | st.builds("{}{}".format, st.integers(1, 40), st.sampled_from(["ep", "it", "%"]))


def linear(start, end, size, **fields):
    """One straight line."""
    return PolynomialAnnealing(start_value=start, end_value=end, cycle_size=size, num_cycles=1, **fields)


def cosine(start, end, size, **fields):
    """One half of a cosine wave."""
    return CosineAnnealing(start_value=start, end_value=end, cycle_size=size, num_cycles=1, **fields)


def then(*phases):
    """Pairs of a schedule and its duration, one after another."""
    return Phases(phases={f"p{i}": lasting(one, duration) for i, (one, duration) in enumerate(phases)})


def flat(shape):
    """Whether no other schedules stand inside."""
    return not any("Any" in str(field.type) for field in dataclasses.fields(shape))


@cache  # to make a strategy takes longer than to draw from it
@st.composite
def schedules(draw, shape=None, durations=EVENTS, depth=2):
    """A schedule of any registered shape, its fields filled by their types alone."""
    if shape is None:
        shape = draw(_shapes(depth))
    made = shape(**{name: draw(value) for name, value in _fields(shape, durations, depth).items()})
    if isinstance(made, (Phases, Branched)) and not any(one.duration for one in made.phases.values()):
        return made if depth == 2 else draw(schedules(durations=durations, depth=depth - 1))  # no events at all
    return made


@cache
def _shapes(depth):
    return st.sampled_from([one for one in SHAPES.values() if depth or flat(one)])


@cache
def _fields(shape, durations, depth):
    """By field, what its values are drawn from."""
    inner = schedules(durations=durations, depth=depth - 1)
    phases = st.builds(lasting, inner, st.just(0) | durations, skip=st.just(0) | durations)
    named = st.dictionaries(st.sampled_from("abcdef"), phases, min_size=1, max_size=3)
    pairs = st.lists(st.tuples(st.integers(0, 200), NUMBERS), min_size=1, unique_by=lambda pair: pair[0]).map(sorted)
    by_type = {
        "float": NUMBERS,
        "bool": st.just(False),
        "Duration": durations,
        "int | None": st.none() | st.integers(1, 5),
        "float | None": st.none(),
        "dict[str, Any]": named,
        "list[Any]": pairs,
        "Any": inner,
    }
    # Multipliers above 1 overflow, and those of lengths give cycles of a single event.
    by_name = {"cycle_mult": st.sampled_from([1, 1.5, 2, 0.7]), "warmup_duration": st.just(0)}
    by_name |= {"startpoint": st.just(True), "k_decay": st.floats(0.8, 2)}
    by_name |= {"lower": st.floats(-8, -4), "upper": st.floats(2, 4)} if shape is TanhAnnealing else {}
    by_name |= {"power": st.floats(0.5, 3)}  # a lesser one is almost a jump
    by_name |= {"start_value": NUMBERS, "value": NUMBERS, "repeat": st.just(1) | st.none() | st.integers(1, 5)}
    if shape is Scaled:  # so that values are those of what stands inside
        by_name |= {"factor": st.just(1.0), "power": st.just(1.0), "offset": st.just(0.0), "multiple": st.none()}
    by_name |= {"every": EVENTS, "milestones": st.just([]), "gamma": st.floats(0.5, 1)} if shape is StepDecay else {}
    if shape is Stages:
        by_name |= {"durations": st.tuples(durations, st.just(0) | durations, durations)}
        by_name |= {"levels": st.lists(NUMBERS, min_size=3, max_size=3)}
    values = {}
    for field in dataclasses.fields(shape):
        within = st.floats(0.5, 1) if field.name.endswith(("_mult", "_decay")) else by_type.get(field.type)
        values[field.name] = by_name.get(field.name, within)
    return values


def wild(rng, shape=None, depth=2, scale=1.0):
    """A schedule that may do what is not allowed: multipliers and values of any sign and size, short and long cycles.

    It is drawn with NumPy's random numbers, many times as fast as `schedules`.
    """
    if shape is None:
        shapes = [one for one in SHAPES.values() if depth or flat(one)]
        shape = shapes[rng.integers(len(shapes))]
    longest = int(10 ** rng.uniform(0.5, 4))
    number = rng.choice([0.0, 1.0, scale * rng.random(), scale * rng.random(), scale * rng.normal()], size=20)
    mults = [1, 1, 1, rng.random(), 1 + rng.random() / 100, 1 - rng.random() / 100, rng.uniform(-2, 2), 0.0]

    def events():
        return int(rng.integers(2, longest + 2))

    def value(field):
        if field.name == "cycle_mult":
            return float(rng.choice([1, 1.5, 2, 0.7, rng.uniform(0.5, 3), 1 + rng.random() / 1000]))
        if field.name in ("power", "k_decay", "decay_rate"):
            return float(rng.uniform(0.1, 3))
        if field.name.endswith(("_mult", "_decay")):
            return float(rng.choice(mults))
        if field.name in ("start_value", "value"):
            return float(rng.choice(number))
        if field.name == "upper" and rng.random() < 0.5:
            return 5.0
        if field.name == "lower" and rng.random() < 0.5:
            return float(rng.choice([-5.0, 0.0]))
        if shape is Stages and field.name != "whole":
            return [events(), events(), None] if field.name == "durations" else rng.choice(number, 3).tolist()
        if field.type == "dict[str, Any]":
            ends = [events() if rng.random() < 0.9 else 0 for _ in range(3)] + [
                events() if rng.random() < 0.5 else None
            ]
            skips = [events() if rng.random() < 0.2 else 0 for _ in ends]
            inner = [wild(rng, depth=depth - 1, scale=scale) for _ in ends]
            return {f"p{i}": lasting(inner[i], end, skip=skips[i]) for i, end in enumerate(ends)}
        if shape is StepDecay and field.name in ("every", "milestones"):
            return events() if field.name == "every" else []
        if field.type == "list[Any]":
            return [(int(event), float(rng.choice(number))) for event in sorted({*rng.integers(0, longest, 5)})]
        kinds = {
            "float": lambda: float(rng.choice(number)),
            "bool": lambda: bool(rng.integers(2)),
            "Duration": events,
            "int | None": lambda: None if rng.random() < 0.5 else int(rng.integers(1, 9)),
            "float | None": lambda: None,
            "Any": lambda: wild(rng, depth=depth - 1, scale=scale),
        }
        return kinds[field.type]()

    for _ in range(1000):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = {field.name: value(field) for field in dataclasses.fields(shape)}
                if shape is Scaled and (values["schedule"].bounds(range(10**6)) or (-1,))[0] < 0:
                    values["power"] = float(rng.integers(-2, 4))  # negative numbers have no others
                if shape is StepDecay and rng.random() < 0.5:
                    values |= {"every": None, "milestones": sorted({events() for _ in range(3)})}
                values |= {"warmup_duration": 0} if "warmup_duration" in values and rng.random() < 0.5 else {}
                return shape(**values)
        except ValueError:  # end values that cannot be reached, a triangle with a warm-up
            continue
    raise AssertionError(f"no random fields suit {shape}")
