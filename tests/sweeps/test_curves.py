"""Curves of composed configs: what is declared, how it is evaluated, what is odd about it."""

import re
import sys

import numpy as np
import pytest
from omegaconf import OmegaConf

from cosched import CosineAnnealing
from cosched.config.schemas import scheduler as config_of
from cosched.sweeps.curves import curve, declared, evaluate
from cosched.sweeps.sampling import first_restarts

FIELDS = {
    "_target_": "cosched.CosineAnnealingScheduler",
    "start_value": 0.1,
    "end_value": 0.001,
    "cycle_size": 10,
    "cycle_mult": 2.0,
}


def evaluated(**fields):
    return curve("scheduler", {**FIELDS, **fields}, epochs=10, epoch_length=15)


def test_a_fingerprint_is_of_all_values_and_of_nothing_else():
    spelt = {evaluated().fingerprint, evaluated(cycle_mult=2, num_cycles=9, param_name="momentum").fingerprint}
    assert len(spelt) == 1
    assert evaluated(end_value=0.001 + 1e-15).fingerprint not in spelt
    assert evaluated(event="EPOCH_STARTED").fingerprint not in spelt


def test_an_end_that_a_cycle_misses_by_its_last_step_alone_is_no_finding():
    """The last of n events is at (n - 1) / n of a cycle: of 15 of them 1 % is left, of 5 10 %."""
    assert [bool(evaluated(cycle_size=size, cycle_mult=1).findings) for size in (15, 8, 5)] == [False, False, True]
    assert evaluated(cycle_size=151, cycle_mult=1).findings == []
    assert evaluated(cycle_size=190, cycle_mult=1).findings


@pytest.mark.parametrize(
    ("fields", "cycles", "restarts"),
    [({}, 4, [10, 30, 70]), ({"cycle_mult": 1, "num_cycles": 3}, 3, [10, 20]), ({"event": "EPOCH_STARTED"}, 1, [])],
)
def test_cycles_and_restarts_of_a_run(fields, cycles, restarts):
    found = evaluated(**fields)
    assert found.schedule.cycles(found.num_events) == cycles
    assert first_restarts(found.schedule, found.num_events, 9) == restarts


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"cycle_mult": 1.05}, r"cycle_mult=1\.05 has no effect"),
        ({"cycle_mult": 0.5}, "cycles shrink to nothing at event 17"),
        ({"cycle_size": 1000}, r"the end value 0\.001 is never reached, only 0\.09"),
        ({"start_value_mult": 1e200, "cycle_mult": 1}, r"lr is inf at event 20: it must be finite"),
        ({"end_value": -0.1, "endpoint": True}, r"lr is -0\.017\d+ at event 5: it must be finite and at least 0"),
        ({"param_name": "momentum", "start_value": 1, "endpoint": True}, "momentum is 1 at event 0: .* below 1"),
    ],
)
def test_findings(fields, finding):
    with np.errstate(all="ignore"):
        found = evaluated(**fields)
    assert [text for text in found.findings if re.search(finding, text)], found.findings


def test_a_sound_schedule_has_no_findings():
    assert evaluated(endpoint=True).findings == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cycle_mult": 0}, "cycle_mult=0.0 must be above 0"),
        ({"cycle_mlt": 2}, "Key 'cycle_mlt' not in 'CosineAnnealingConfig'"),
        ({"event": "ITERATION"}, "Invalid value 'ITERATION'"),
        ({"cycle_size": "???"}, "missing mandatory value: cycle_size"),
        ({"cycle_size": "3e"}, "cycle_size='3e' is no"),
        ({"cycle_size": "10it", "event": "EPOCH_STARTED"}, "cycle_size='10it' is not a whole number of epochs of 15"),
    ],
)
def test_an_invalid_schedule_is_a_value_error(fields, message):
    with pytest.raises(ValueError, match=message):
        evaluated(**fields)


def test_durations_have_the_units_of_the_previewed_run():
    assert evaluated(cycle_size="1ep").fingerprint == evaluated(cycle_size=15).fingerprint
    assert evaluated(cycle_size="20%").schedule.cycle_size == 30
    assert evaluated(cycle_size="20%", event="EPOCH_STARTED").schedule.cycle_size == 2


@pytest.mark.parametrize(
    ("epochs", "wrong"), [(0, "no events: give both at least 1"), (2**50, "more than 2.*53 events")]
)
def test_a_run_without_events_or_with_too_many_is_refused(epochs, wrong):
    with pytest.raises(ValueError, match=f"epochs={epochs} of epoch_length=15 has {wrong}"):
        curve("scheduler", FIELDS, epochs=epochs, epoch_length=15)


def test_a_run_of_a_million_million_events_is_drawn():
    found = curve("scheduler", {**FIELDS, "cycle_size": "10%"}, epochs=10**6, epoch_length=10**6)
    assert len(found.events) <= 2001
    assert found.values.max() == 0.1
    assert found.values.min() == pytest.approx(0.001)


def test_schedulers_are_found_wherever_they_stand():
    config = OmegaConf.create(
        {
            "deep": {"list": [{"a": FIELDS}, None, {"_target_": "cosched.LinearCyclicalScheduler"}]},
            "typed": OmegaConf.structured(config_of.cosine_annealing),
            "others": {"_target_": "torch.optim.SGD", "lr": "${nowhere}"},
            "not_ours": {"_target_": "coscheduler.CosineAnnealingScheduler"},
            "missing": "???",
            "hydra": {"x": FIELDS},
            "a_phase_alone": {"_target_": "cosched.Phase", "shape": "constant", "value": 1},
            "the_main_jobs": {"_target_": "cosched.digits.ConvNet", "x": {"hydra": FIELDS}},
            "callback": {"_target_": "cosched.CycleEvents"},
        }
    )
    paths = ["deep.list[0].a", "deep.list[2]", "typed", "the_main_jobs.x.hydra"]
    assert declared(config) == (paths, {})


@pytest.mark.parametrize(
    "target",
    [
        "cosched.evil.X",
        "cosched.CosineAnealingScheduler",
        "cosched.schedulers.CosineAnnealingScheduler",
        "cosched.loops.ignite.shapes.CosineAnnealingScheduler",
        "cosched.schedules.CosineAnnealingScheduler",
        "cosched..CosineAnnealing",
        "cosched.",
        "cosched./etc.X",
    ],
)
def test_a_target_that_only_looks_like_a_scheduler_is_an_error_that_says_which_there_are(target):
    config = OmegaConf.create({"good": FIELDS, "train": {"schedule": {**FIELDS, "_target_": target}}})
    curves, errors = evaluate(config, 10, 15)
    assert [c.path for c in curves] == ["good"]
    assert list(errors) == ["train.schedule"]
    assert f"_target_={target} is not a scheduler of cosched" in errors["train.schedule"]
    for there in ("cosched.CosineAnnealingScheduler", "cosched.PhasesScheduler", "cosched.RegisteredScheduler"):
        assert there in errors["train.schedule"]


def test_a_shape_that_is_not_registered_is_an_error_beside_the_other_curves():
    unknown = {"_target_": "cosched.RegisteredScheduler", "shape": "cosine_anealing"}
    curves, errors = evaluate(OmegaConf.create({"a": FIELDS, "b": unknown, "c": FIELDS}), 10, 15)
    assert [c.path for c in curves] == ["a", "c"]
    assert "'cosine_anealing' is not a registered shape: did you mean 'cosine_annealing'?" in errors["b"]


def test_phases_nested_beyond_pythons_depth_are_an_error():
    node = {"_target_": "cosched.Phase", "shape": "constant", "value": 1.0, "duration": None}
    for _ in range(400):
        node = {"_target_": "cosched.Phase", "shape": "phases", "phases": {"a": node}, "duration": None}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)  # OmegaConf itself gives up before
    try:
        deep = OmegaConf.create({"scheduler": {"_target_": "cosched.PhasesScheduler", "phases": {"a": node}}})
    finally:
        sys.setrecursionlimit(limit)
    curves, errors = evaluate(deep, 10, 15)
    assert curves == []
    assert list(errors.values()) == ["it is nested too deeply: write fewer levels"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ""),
        ({"start_value": "${peak}", "cycle_size": "${half}", "relative": True}, ""),
        ({"start_value": "???"}, "missing"),
        ({"start_value": "${none}"}, "none"),
        ({"num_cycles": 0}, "num_cycles"),
        ({"_target_": "cosched.LinearCyclicalScheduler"}, "k_decay"),
        ({"_target_": "cosched.LinearCyclicalSchedule"}, "LinearCyclicalSchedule"),
    ],
)
def test_a_node_that_has_its_type_is_read_as_its_plain_data_is(fields, wrong):
    config = OmegaConf.create({"peak": 1, "half": "50%", "s": config_of(CosineAnnealing)})
    config.s = OmegaConf.merge(config.s, {**FIELDS, **fields})
    plain = OmegaConf.create(OmegaConf.to_container(config, resolve=False, enum_to_str=True))
    assert OmegaConf.get_type(config.s) is config_of(CosineAnnealing)
    assert OmegaConf.get_type(plain.s) is dict
    curves, errors = evaluate(config, epochs=10, epoch_length=15)
    assert [c.declared for c in curves] == [c.declared for c in evaluate(plain, epochs=10, epoch_length=15)[0]]
    assert errors == evaluate(plain, epochs=10, epoch_length=15)[1]
    assert all(wrong in text for text in errors.values())
    assert len(errors) == bool(wrong)
