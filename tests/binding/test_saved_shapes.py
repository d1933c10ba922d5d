"""What a checkpoint says of shapes: those of other packages by their names, and schedules inside others."""

import json
from dataclasses import dataclass

import pytest

import cosched
from cosched import (
    BoundScheduler,
    ConfigError,
    Constant,
    CosineAnnealing,
    CosineAnnealingScheduler,
    CyclicalSchedule,
    Phases,
    PiecewiseLinear,
    Schedule,
    lasting,
)
from cosched.schedules import registry

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4, "cycle_mult": 2.0}


def cosine(sgd, **fields):
    return CosineAnnealingScheduler(sgd, "lr", **{**FIELDS, **fields})


def after(scheduler, calls):
    for _ in range(calls):
        scheduler(None)
    return scheduler


@pytest.fixture
def _shapes_of_others(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_shapes", registry.registered())


def strangers(name, class_name):
    """A shape as another package would register it: it stays at its start value."""

    class Flat(CyclicalSchedule):
        def _remaining(self, x):
            return 1 + 0 * x

    Flat.__name__ = Flat.__qualname__ = class_name
    return cosched.register(name)(dataclass(kw_only=True)(Flat))


@pytest.mark.usefixtures("_shapes_of_others")
def test_a_class_that_has_the_name_of_ours_does_not_take_its_place(sgd):
    theirs = strangers("flat", "CosineAnnealing")
    for shape in (CosineAnnealing, theirs):
        saved = after(BoundScheduler(sgd, shape(**FIELDS)), 2).state_dict()
        kept = cosine(sgd, cycle_size=7, on_mismatch="checkpoint")
        kept.load_state_dict(saved)
        assert type(kept.schedule) is shape
        assert kept.get_param() == shape(**FIELDS)(2)
    with pytest.raises(ConfigError, match="schedule is 'flat' there and 'cosine_annealing' here"):
        cosine(sgd).load_state_dict(saved)


def test_a_shape_that_is_not_registered_is_refused_at_construction(sgd):
    @dataclass(kw_only=True)
    class Own(CosineAnnealing):
        pass

    with pytest.raises(ValueError, match=r'Own is not registered: decorate it with @cosched.register\("a_name"\)'):
        BoundScheduler(sgd, Own(**FIELDS))


@pytest.mark.parametrize("policy", ["error", "config", "checkpoint", "branch"])
def test_a_state_of_a_missing_package_names_the_remedy(sgd, monkeypatch, policy):
    with monkeypatch.context() as installed:
        installed.setattr(registry, "_shapes", registry.registered())
        saved = BoundScheduler(sgd, strangers("flat_annealing", "Flat")(**FIELDS)).state_dict()
    with pytest.raises(
        ValueError, match=r"'flat_annealing' is not a registered shape.*needs that package, installed with"
    ):
        cosine(sgd, on_mismatch=policy).load_state_dict(saved)


# Schedules of schedules


def phases(**named):
    return Phases(phases={name: lasting(Constant(value=value), 5) for name, value in named.items()})


def test_the_order_of_phases_is_part_of_the_schedule(sgd):
    saved = BoundScheduler(sgd, phases(up=1.0, down=0.5)).state_dict()
    with pytest.raises(ConfigError, match="phases come in the order up, down there and down, up here"):
        BoundScheduler(sgd, phases(down=0.5, up=1.0)).load_state_dict(saved)
    kept = BoundScheduler(sgd, phases(down=0.5, up=1.0), on_mismatch="checkpoint")
    kept.load_state_dict(saved)
    assert [kept.schedule(step) for step in (0, 5)] == [1.0, 0.5]


def test_the_order_of_fields_is_not(sgd):
    saved = cosine(sgd).state_dict()
    scheduler = cosine(sgd)
    scheduler.load_state_dict({**saved, "schedule": dict(reversed(saved["schedule"].items()))})


def test_the_order_of_a_list_is_part_of_the_schedule(sgd):
    points = [[0, 0.1], [10, 0.5]]
    saved = BoundScheduler(sgd, PiecewiseLinear(milestones=points)).state_dict()
    with pytest.raises(ConfigError, match=r"milestones\[0\]\[1\] is 0.1 there and 0.5 here"):
        BoundScheduler(sgd, PiecewiseLinear(milestones=[[0, 0.5], [10, 0.1]])).load_state_dict(saved)
    with pytest.raises(ConfigError, match=r"milestones is \[\[0, 0.1\], \[10, 0.5\]\] there and \[\[0, 0.1\]\] here"):
        BoundScheduler(sgd, PiecewiseLinear(milestones=points[:1])).load_state_dict(saved)


@pytest.mark.usefixtures("_shapes_of_others")
def test_schedules_in_a_list_are_restored(sgd):
    @cosched.register("mean")
    @dataclass(kw_only=True)
    class Mean(Schedule):
        of: list

        def _values(self, steps):
            return sum(one.values(steps.astype(int)) for one in self.of) / len(self.of)

    saved = BoundScheduler(sgd, Mean(of=[Constant(value=1.0), Constant(value=3.0)])).state_dict()
    other = Mean(of=[Constant(value=3.0), Constant(value=1.0)])
    with pytest.raises(ConfigError, match=r"of\[0\].value is 1.0 there and 3.0 here"):
        BoundScheduler(sgd, other).load_state_dict(saved)
    kept = BoundScheduler(sgd, Mean(of=[Constant(value=7.0)]), on_mismatch="checkpoint")
    kept.load_state_dict(saved)
    assert kept.get_param() == 2.0


@pytest.mark.parametrize("through", [lambda state: state, lambda state: json.loads(json.dumps(state))])
def test_phases_whose_names_are_numbers_resume(sgd, through):
    numbered = Phases(phases={number: lasting(Constant(value=number / 10), 5) for number in (2, 1)})
    saved = after(BoundScheduler(sgd, numbered), 6).state_dict()
    resumed = BoundScheduler(sgd, numbered)
    resumed.load_state_dict(through(saved))
    assert (resumed.event_index, resumed.get_param()) == (6, 0.1)
