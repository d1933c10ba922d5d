"""A configured schedule that begins where a checkpoint's has come to: ``on_mismatch=branch``, to any depth."""

import dataclasses
import io
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ignite.handlers import param_scheduler as ignite
from strategies import cosine, linear, schedules, then

from cosched import BoundScheduler, Branched, ConfigError, Constant, CosineAnnealing, Phase, Phases, lasting
from cosched.binding.bound import Bound
from cosched.schedules.durations import Run

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult")


def sgd():
    return torch.optim.SGD([torch.zeros(1)], lr=1.0)


def bound(schedule, policy="branch", **options):
    return BoundScheduler(sgd(), schedule, "lr", on_mismatch=policy, **options)


def walked(scheduler, calls):
    """What the optimizer holds after each call."""
    held = []
    for _ in range(calls):
        scheduler(None)
        held.append(scheduler.optimizer.param_groups[0]["lr"])
    return held


def saved(scheduler):
    """Its state, through a checkpoint that holds plain data alone."""
    file = io.BytesIO()
    state = scheduler.state_dict()
    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == state == json.loads(json.dumps(state))
    return json.loads(json.dumps(state))


def continued(schedule, state, policy="branch", **options):
    scheduler = bound(schedule, policy, **options)
    scheduler.load_state_dict(state)
    return scheduler


def known(schedule):
    try:
        schedule(0)
    except ValueError:
        return False
    return True


some = schedules().filter(known).filter(lambda one: not isinstance(one, Branched))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(st.tuples(some, st.integers(1, 40)), min_size=2, max_size=4, unique_by=lambda one: repr(one[0])),
    killed=st.integers(0, 9),
)
def test_branches_of_branches_are_the_composition_at_every_event(parts, killed):
    expected, held = [], []
    state = None
    for schedule, calls in parts:
        scheduler = bound(schedule) if state is None else continued(schedule, state)
        expected += schedule.values(range(calls)).tolist()
        assert scheduler.schedule.values(range(len(expected))).tolist() == expected
        first = min(killed, calls)
        held += walked(scheduler, first)
        again = continued(schedule, saved(scheduler))  # killed, and started with the same config
        assert again.declared == scheduler.declared, "no second branch"
        held += walked(again, calls - first)
        assert held == expected
        state = saved(again)


def test_the_composition_is_in_force_and_is_saved():
    trunk, decay = cosine(1, 0, 100), linear(None, 0, 20)
    state = saved(after(bound(trunk), 30))
    branch = continued(decay, state)
    assert branch.declared == Branched(phases={"trunk": lasting(trunk, 30), "branch": decay})
    assert branch.get_param() == trunk(30)
    filled = dataclasses.replace(decay, start_value=trunk(30))
    assert branch.schedule.values(range(80)).tolist() == then((trunk, 30), (filled, None)).values(range(80)).tolist()
    resolved = after(branch, 5).schedule
    assert saved(branch)["schedule"]["phases"]["branch"]["start_value"] is None, "as it is declared"
    assert resolved.values(range(80)).tolist() == branch.schedule.values(range(80)).tolist()
    deeper = continued(Constant(value=0.25), saved(branch))
    assert deeper.declared.phases["trunk"] == lasting(branch.declared, 35)
    assert deeper.schedule.values([29, 34, 35, 99]).tolist() == [trunk(29), filled(4), 0.25, 0.25]


def after(scheduler, calls):
    walked(scheduler, calls)
    return scheduler


def test_a_branch_that_has_not_begun_leaves_no_trace():
    state = saved(after(bound(Constant(value=1)), 10))
    unused = continued(Constant(value=2), state)
    other = continued(Constant(value=3), saved(unused))
    assert other.declared == Branched(phases={"trunk": lasting(Constant(value=1), 10), "branch": Constant(value=3)})
    at_once = continued(Constant(value=3), saved(bound(Constant(value=1))))
    assert at_once.declared == Constant(value=3)


def test_the_same_schedule_goes_on_without_a_branch():
    state = saved(after(bound(cosine(1, 0, 100)), 30))
    same = continued(cosine(1, 0, 100), state)
    assert (same.declared, same.event_index) == (cosine(1, 0, 100), 30)


def test_a_state_loaded_again_is_compared_with_what_is_configured():
    trunk = saved(after(bound(cosine(1, 0, 100)), 30))
    scheduler = continued(Constant(value=2), trunk)
    first = scheduler.declared
    branch = saved(after(scheduler, 7))
    scheduler.load_state_dict(trunk)
    assert (scheduler.declared, scheduler.event_index) == (first, 30)
    scheduler.load_state_dict(branch)
    assert (scheduler.declared, scheduler.event_index) == (first, 37)


def branched_state():
    trunk = saved(after(bound(cosine(1, 0, 100)), 30))
    return saved(after(continued(linear(1, 0, 20), trunk), 5))


def test_another_schedule_is_refused_by_the_branchs_fields():
    state = branched_state()
    with pytest.raises(
        ConfigError,
        match=r"another schedule, with a branch that began at event 30: branch.cycle_size is 20 there and 50 here\. "
        r"Choose: on_mismatch=config .*\. on_mismatch=checkpoint .*\. on_mismatch=branch begins",
    ):
        continued(linear(1, 0, 50), state, "error")
    with pytest.raises(
        ConfigError, match="event 30: branch is 'polynomial_annealing' there and 'cosine_annealing' here"
    ):
        continued(cosine(1, 0, 100), state, "error")
    with pytest.raises(
        ConfigError, match="its branch is what is configured here, and on_mismatch=branch goes on with it"
    ):
        continued(linear(1, 0, 20), state, "error")
    composed = Branched(phases={"trunk": lasting(cosine(1, 0, 99), 30), "branch": linear(1, 0, 20)})
    with pytest.raises(ConfigError, match=r"began at event 30: phases\.trunk\.cycle_size is 100 there and 99 here"):
        continued(composed, state, "error")


def test_the_other_choices_are_what_they_were():
    state = branched_state()
    configured = continued(cosine(1, 0, 7), state, "config")
    assert (configured.declared, configured.event_index) == (cosine(1, 0, 7), 35)
    kept = continued(cosine(1, 0, 7), state, "checkpoint")
    assert kept.state_dict() == state
    assert walked(kept, 20) == linear(1, 0, 20).values(range(5, 25)).tolist()


@pytest.mark.parametrize("policy", ["branch", "checkpoint"])
@pytest.mark.parametrize("option", [{"relative": True}, {"event": "epoch_started"}, {"param_group_index": 0}])
def test_another_binding_is_still_refused(policy, option):
    state = saved(after(bound(cosine(1, 0, 100)), 30))
    for schedule in (cosine(1, 0, 100), Constant(value=1)):
        with pytest.raises(
            ConfigError, match=f"on_mismatch={policy} is about the schedule alone, but {next(iter(option))}"
        ):
            continued(schedule, state, policy, **option)


def test_ignites_states_have_no_schedule_to_branch_from():
    fields = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 10}
    theirs = ignite.CosineAnnealingScheduler(sgd(), "lr", **fields)
    for _ in range(4):
        theirs(None)
    same = continued(CosineAnnealing(**fields), theirs.state_dict())
    assert same.get_param() == CosineAnnealing(**fields)(4)
    with pytest.raises(ConfigError, match="ignite does not save what it began with"):
        continued(CosineAnnealing(**fields | {"end_value": 0.5}), theirs.state_dict())


# In runs, which say what units are


def begun(schedule, run, state=None, at=None, policy="branch"):
    scheduler = Bound(sgd(), schedule, "lr", on_mismatch=policy)
    if state is not None:
        scheduler.load_state_dict(state)
    scheduler.begin(run, anew=state is None, at=at)
    return scheduler


WSD = Phases(
    phases={
        "warmup": Phase(shape="polynomial_annealing", start_value=0, end_value=1, duration="10%"),
        "stable": Phase(shape="constant", duration="1ep"),
        "decay": Phase(shape="cosine_annealing", end_value=0),
    }
)
HALF = Phases(
    phases={"decay": Phase(shape="polynomial_annealing", end_value=0.5, duration="50%"), "rest": Constant(value=0)}
)
SHORT, LONG = (Run(epoch_length=10, max_epochs=epochs) for epochs in (10, 20))


def test_a_trunk_stays_as_it_was_resolved_and_a_branch_counts_what_is_left():
    trunk = begun(WSD, SHORT)
    trunk.event_index = 60
    branch = begun(HALF, LONG, saved(trunk))
    values = branch.schedule.values(range(200))
    assert values[:60].tolist() == WSD.resolve(epoch_length=10, max_epochs=10).values(range(60)).tolist()
    value = WSD.resolve(epoch_length=10, max_epochs=10)(60)
    assert values[60:].tolist() == [*linear(value, 0.5, 70).values(range(70)), *[0] * 70]
    assert branch.schedule.phases["branch"].phases["decay"].start_value == value
    state = saved(branch)
    assert state["resolved"]["phases"]["branch"]["phases"]["decay"]["start_value"] == value
    assert state["schedule"]["phases"]["branch"]["phases"]["decay"]["start_value"] is None
    branch.event_index = 100
    resumed = begun(HALF, LONG, saved(branch))
    assert resumed.schedule == branch.schedule
    deeper = begun(Constant(value=None), Run(epoch_length=10, max_epochs=30), saved(resumed))
    assert deeper.schedule.values(range(100)).tolist() == values[:100].tolist()
    assert {*deeper.schedule.values(range(100, 300))} == {values[100]}


def test_a_longer_run_of_the_same_schedule_branches_too():
    trunk = begun(WSD, SHORT)
    trunk.event_index = 100
    extended = begun(WSD, LONG, saved(trunk))
    first, second = WSD.resolve(epoch_length=10, max_epochs=10), WSD.resolve(epoch_length=10, max_epochs=10)
    assert extended.schedule.values(range(200)).tolist() == [*first.values(range(100)), *second.values(range(100))]
    with pytest.raises(ConfigError, match=r"this run .* has other durations than the one .* on_mismatch=branch begins"):
        begun(WSD, LONG, saved(trunk), policy="error")
    in_events = begun(cosine(1, 0, 100), LONG, saved(begun(cosine(1, 0, 100), SHORT)))
    assert in_events.schedule == cosine(1, 0, 100)


def test_the_loops_clock_says_where_a_branch_begins():
    trunk = begun(WSD, SHORT)
    trunk.event_index = 51  # as where the value of the next update has been applied already
    branch = begun(Constant(value=7), SHORT, saved(trunk), at=50)
    assert branch.schedule.values([49, 50]).tolist() == [WSD.resolve_in(SHORT)(49), 7]


def test_an_open_start_waits_for_a_checkpoint():
    waiting = Bound(sgd(), linear(None, 0, 20), "lr", on_mismatch="branch")
    assert waiting.waits
    with pytest.raises(
        ValueError, match=r"start_value is missing, and nothing comes before it .* once a checkpoint is loa"
    ):
        waiting.begin(SHORT, anew=True)
    waiting.load_state_dict(saved(after(bound(Constant(value=0.5)), 3)))
    assert not waiting.waits
    waiting.begin(SHORT, anew=False)
    assert waiting.schedule.values([2, 3, 13, 23]).tolist() == [0.5, 0.5, 0.25, 0]
    for policy in ("error", "config"):
        with pytest.raises(ValueError, match="start_value is missing"):
            Bound(sgd(), linear(None, 0, 20), "lr", on_mismatch=policy).begin(SHORT, anew=True)


def test_a_state_whose_schedule_has_no_start_is_refused():
    state = saved(after(bound(linear(1, 0, 20)), 3))
    state["schedule"]["start_value"] = None
    for policy in ("error", "checkpoint", "branch"):
        with pytest.raises(ValueError, match="start_value is missing, and nothing comes before it"):
            continued(linear(1, 0, 10), state, policy)


def test_what_cannot_be_branched_changes_nothing():
    scheduler = bound(CosineAnnealing(start_value=1, end_value=0, cycle_size=9), relative=True)
    before = scheduler.state_dict()
    with pytest.raises(ConfigError, match="relative"):
        scheduler.load_state_dict(saved(after(bound(Constant(value=1)), 4)))
    assert scheduler.state_dict() == before
