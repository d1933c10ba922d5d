"""One value at a time: whatever is asked before, it is the one of `values`."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torch_lr

from cosched import CosineAnnealing, ExponentialAnnealing, PolynomialAnnealing
from cosched.schedules.durations import MAX_EVENTS

SCHEDULES = [
    CosineAnnealing(start_value=0.1, end_value=0.001, cycle_size=100, cycle_mult=1.5, end_value_mult=0.9),
    PolynomialAnnealing(start_value=0.1, end_value=0.001, cycle_size=33, power=0.9, warmup_duration=5, num_cycles=9),
    ExponentialAnnealing(start_value=0.1, end_value=0.001, cycle_size=7, amplitude_decay=0.999, start_value_mult=0.99),
]
EXPECTED = [schedule.values(range(20_000)).tolist() for schedule in SCHEDULES]
moves = st.tuples(st.sampled_from(["walk", "stride", "back", "window", "jump"]), st.integers(0, 9_999))


@pytest.mark.parametrize("which", range(len(SCHEDULES)))
@settings(max_examples=40, deadline=None)
@given(moves=st.lists(moves, min_size=1, max_size=12))
def test_it_is_the_same_however_it_is_asked(which, moves):
    schedule, expected = copy.copy(SCHEDULES[which]), EXPECTED[which]
    for kind, first in moves:
        if kind == "window":
            start, stop, values = schedule.window(first, 4096)
            assert (start, list(values)) == (first, expected[first:stop])
        steps = {"walk": range(first, first + 200), "stride": range(first, first + 5000, 100)}.get(kind, [first])
        steps = range(first, max(first - 50, 0), -1) if kind == "back" else steps
        assert [schedule(step) for step in steps] == [expected[step] for step in steps]


def test_powers_of_one_number_are_those_of_many():
    factors = np.random.default_rng(0).uniform(0.8, 1.1, (500, 3)).tolist()
    events = list(range(0, 40, 5))
    for start, end, amplitude in factors:
        fields = {"start_value_mult": start, "end_value_mult": end, "amplitude_mult": amplitude}
        schedule = CosineAnnealing(start_value=0.3, end_value=0.1, cycle_size=5, **fields)
        assert [schedule(event) for event in events] == schedule.values(events).tolist()


@pytest.mark.parametrize("wrong", [True, False, 1.5, 1.0, -1, MAX_EVENTS, "3", None, np.float64(1), float("nan")])
def test_what_is_not_an_event_index_is_refused(wrong):
    schedule = copy.copy(SCHEDULES[0])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"step=.* must be an event index: an integer from 0 to 2\*\*53"):
            schedule(wrong)
        assert [schedule(step) for step in range(30)] == EXPECTED[0][:30], "now with values that are kept"


def test_numbers_of_numpy_and_torch_are_event_indices():
    schedule = copy.copy(SCHEDULES[0])
    for make in (np.int64, np.uint8, np.array, torch.tensor):
        for _ in range(2):
            assert schedule(make(7)) == EXPECTED[0][7]
            assert type(schedule(make(7))) is float


def test_the_last_event_has_a_value():
    constant = CosineAnnealing(start_value=0.5, end_value=0.25, cycle_size=4, num_cycles=1)
    assert [constant(step) for step in range(MAX_EVENTS - 20, MAX_EVENTS)] == [0.25] * 20


def test_what_was_evaluated_is_not_a_part_of_it():
    fresh, used = copy.copy(SCHEDULES[0]), copy.copy(SCHEDULES[0])
    for step in range(5000):
        used(step)
    assert used == fresh
    assert hash(used) == hash(fresh)
    assert repr(used) == repr(fresh)
    assert pickle.dumps(used) == pickle.dumps(fresh)
    assert vars(used) == vars(fresh)


def test_threads_may_share_it():
    interval, wrong = sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)
    schedule = copy.copy(SCHEDULES[0])

    def walk(first):
        wrong.extend(step for step in range(first, first + 2000) if schedule(step) != EXPECTED[0][step])

    try:
        threads = [threading.Thread(target=walk, args=(1000 * i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_a_state_that_torch_loads_into_it_is_not_answered_from_what_was_kept(tmp_path):
    """LambdaLR saves the fields of a callable object, and loads them into it behind its back."""

    def bound(schedule):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        return torch_lr.LambdaLR(optimizer, schedule)

    there, here = copy.copy(SCHEDULES[0]), CosineAnnealing(start_value=7, end_value=6, cycle_size=3)
    scheduler = bound(there)
    assert [there(step) for step in range(100)] == EXPECTED[0][:100]
    torch.save(scheduler.state_dict(), tmp_path / "state.pt")
    assert (tmp_path / "state.pt").stat().st_size < 4000, "the fields alone"
    for read in (lambda: torch.load(tmp_path / "state.pt", weights_only=True), scheduler.state_dict):
        here = CosineAnnealing(start_value=7, end_value=6, cycle_size=3)
        resumed = bound(here)
        assert [here(step) for step in range(100)][:3] == here.values(range(3)).tolist()
        resumed.load_state_dict(read())
        assert here == there
        assert [here(step) for step in range(100)] == EXPECTED[0][:100]
