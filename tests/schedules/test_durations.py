"""Durations with units: what they mean in a run, and what is refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import cosched
from cosched.config.schemas import scheduler as config_of
from cosched.schedules.durations import Event, Run

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 10}


def schedule(**fields):
    return cosched.CosineAnnealing(**{**FIELDS, **fields})


@pytest.mark.parametrize(
    ("declared", "event", "expected"),
    [
        ("10ep", Event.ITERATION_STARTED, 150),
        ("0.5ep", Event.ITERATION_STARTED, 7),
        ("500it", Event.ITERATION_STARTED, 500),
        ("25%", Event.ITERATION_STARTED, 75),
        ("12.5%", Event.ITERATION_STARTED, 37),
        ("10 ep", Event.EPOCH_STARTED, 10),
        ("45it", Event.EPOCH_STARTED, 3),
        ("25%", Event.EPOCH_STARTED, 5),
        (77, Event.EPOCH_STARTED, 77),
    ],
)
def test_a_unit_counts_the_events_of_the_run(declared, event, expected):
    run = {"epoch_length": 15, "max_epochs": 20}
    resolved = schedule(cycle_size=declared).resolve(**run, event=event)
    assert resolved == schedule(cycle_size=expected)
    config = config_of.cosine_annealing(**{**FIELDS, "cycle_size": declared}, event=event)
    assert config.resolve(**run).cycle_size == expected, "a config knows its event"
    assert config.resolve(**run).event is event


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(1, 10**5), st.integers(1, 1000))
def test_units_are_exact(amount, decimals, epoch_length, max_epochs):
    text = f"{Decimal(amount).scaleb(-decimals):f}"
    exact = Fraction(amount, 10**decimals)
    run = Run(epoch_length=epoch_length, max_epochs=max_epochs)
    for unit, whole in (("ep", epoch_length), ("%", Fraction(epoch_length * max_epochs, 100))):
        expected = int(exact * whole)
        assert run.events("x", text + unit, 0) == max(expected, 1 if amount else 0)


@given(
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.sampled_from(["", "k", "M", "B", "G", "T"]),
    st.integers(1, 10**7),
    st.integers(1, 1000),
)
def test_units_of_data_are_exact(amount, decimals, prefix, per_iteration, epoch_length):
    thousands = {"": 0, "k": 1, "M": 2, "B": 3, "G": 3, "T": 4}[prefix]
    exact = Fraction(amount, 10**decimals) * 1000**thousands
    text = f"{Decimal(amount).scaleb(-decimals):f}{prefix}"
    for unit, name in ("tok", "tokens_per_iteration"), ("sample", "batch_size"):
        for per_epoch, events in (False, exact / per_iteration), (True, exact / per_iteration / epoch_length):
            run = Run(per_epoch=per_epoch, epoch_length=epoch_length, **{name: per_iteration})
            if exact.denominator == 1:
                assert run.events("x", text + unit, 0) == max(int(events), 1 if amount else 0)
            else:
                with pytest.raises(ValueError, match=rf"is not a duration, for {unit}\w* have no parts"):
                    run.events("x", text + unit, 0)


def test_300_million_tokens_at_4096_in_an_iteration():
    run = {"tokens_per_iteration": 4096, "batch_size": 8}
    counts = {
        text: schedule(cycle_size=text).resolve(**run).cycle_size for text in ("300Mtok", "1.5Btok", "500ksample")
    }
    assert counts == {"300Mtok": 73242, "1.5Btok": 366210, "500ksample": 62500}


def test_what_ends_by_iterations_has_a_length_too():
    assert schedule(cycle_size="50%").resolve(max_iters=301).cycle_size == 150
    run = {"max_iters": 301, "epoch_length": 15, "event": Event.EPOCH_STARTED}
    assert schedule(cycle_size="50%").resolve(**run).cycle_size == 10, "half of 21 epochs, the last one begun only"


def test_every_duration_is_resolved_and_the_rest_is_kept():
    declared = schedule(cycle_size="2ep", warmup_duration="1ep", cycle_mult=2, num_cycles=3)
    resolved = declared.resolve(epoch_length=7)
    assert resolved == schedule(cycle_size=14, warmup_duration=7, cycle_mult=2, num_cycles=3)
    assert resolved.resolve(epoch_length=99) is resolved
    assert declared.cycle_size == "2ep"


@pytest.mark.parametrize(
    ("declared", "event", "run", "message"),
    [
        ("10ep", Event.ITERATION_STARTED, {"max_epochs": 3}, "needs the number of iterations in an epoch.*'500it'"),
        ("25%", Event.ITERATION_STARTED, {"max_epochs": 3}, "needs a run whose end is known, but epoch_length=None"),
        ("25%", Event.ITERATION_STARTED, {"epoch_length": 3}, "max_epochs=None: give it epoch_length and max_epochs"),
        ("25%", Event.EPOCH_STARTED, {"epoch_length": 3}, "max_epochs=None: give it max_epochs"),
        ("500it", Event.EPOCH_STARTED, {"max_epochs": 3}, "needs the number of iterations in an epoch.*'10ep'"),
        ("500it", Event.EPOCH_STARTED, {"epoch_length": 15}, "not a whole number of epochs of 15 .*a multiple of 15it"),
        ("1.5ep", Event.EPOCH_STARTED, {"epoch_length": 15}, "not a whole number of epochs"),
        (
            "300Mtok",
            Event.ITERATION_STARTED,
            {},
            "needs the number of tokens in an iter.*a tokens_per_iteration,.*'500it'",
        ),
        (
            "9sample",
            Event.ITERATION_STARTED,
            {},
            "needs the number of samples in an iteration, .* a batch_size, as a field",
        ),
        ("9ktok", Event.EPOCH_STARTED, {"epoch_length": 9}, "needs the number of tokens in an iteration, .*'10ep'"),
        (
            "9ktok",
            Event.EPOCH_STARTED,
            {"tokens_per_iteration": 9},
            "needs the number of iterations in an epoch, .*'10ep'",
        ),
        (
            "9tok",
            Event.ITERATION_STARTED,
            {"tokens_per_iteration": 9},
            "'9tok' is 1 iterations .*_iteration=9: it must be",
        ),
        ("1ep", Event.EPOCH_STARTED, {}, "'1ep' is 1 epochs .*at least 2"),
        ("1%", Event.ITERATION_STARTED, {"max_iters": 100}, "'1%' is 1 iterations where .*max_iters=100: it .* 2"),
        ("1it", Event.ITERATION_STARTED, {}, "'1it' is 1 iterations .*at least 2"),
    ],
)
def test_what_a_run_cannot_answer_is_an_error(declared, event, run, message):
    with pytest.raises(ValueError, match=f"cycle_size='{declared}' .*{message}".replace(f"'{declared}' .*'", "'")):
        schedule(cycle_size=declared).resolve(**run, event=event)


def test_what_is_declared_never_silently_vanishes():
    assert schedule(warmup_duration="1%").resolve(max_iters=50).warmup_duration == 1
    assert schedule(warmup_duration="0%").resolve(max_iters=50).warmup_duration == 0
    assert schedule(warmup_duration="9tok").resolve(tokens_per_iteration=10).warmup_duration == 1


@pytest.mark.parametrize(
    "text",
    [
        "3e",
        "ep",
        "10",
        "",
        "1e3it",
        "2.5it",
        "10 epochs",
        "ten ep",
        "10ep ",
        "nan%",
        "٣ep",
        "3 M tok",
        "3Ktok",
        "3mtok",
        "Mtok",
    ],
)
@pytest.mark.parametrize("field", ["cycle_size", "warmup_duration"])
def test_what_is_not_a_duration_is_refused_at_construction(text, field):
    with pytest.raises(ValueError, match=f"{field}={text!r} is not a duration: an integer counts events; units are"):
        schedule(**{field: text})


def test_a_negative_duration_is_refused_at_construction():
    with pytest.raises(ValueError, match="cycle_size='-2ep' must not be negative"):
        schedule(cycle_size="-2ep")


def test_an_unresolved_schedule_has_no_values():
    for use in (lambda s: s(0), lambda s: s.values([1]), lambda s: s.restarts(9), lambda s: s.cycles(9)):
        with pytest.raises(ValueError, match=r"cycle_size='2ep' is not a number of events until.*resolve\(epoch"):
            use(schedule(cycle_size="2ep"))


def test_a_config_node_takes_integers_and_units_only():
    node = OmegaConf.structured(config_of.cosine_annealing)
    for value in (3, "3ep", "${other}"):
        node.cycle_size = value
    for value in (7.5, None, [3]):
        with pytest.raises(Exception, match="cycle_size"):
            node.cycle_size = value
