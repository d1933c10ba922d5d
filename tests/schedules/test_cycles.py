"""Where cycles begin: exact, bounded in time and memory, the same for all threads."""

import sys
import threading
from itertools import accumulate, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosched import CosineAnnealing
from cosched.schedules.cycles import Cycles


def walked(size, warmup, mult, limit=None):
    """The first event, annealing events and warm-up events of each cycle, by the definition."""
    first, number = 0, 0
    while size >= 2 and (limit is None or number < limit):
        yield first, size, warmup
        first, size, warmup, number = first + size + warmup, int(size * mult), int(warmup * mult), number + 1


MULTS = (
    st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])
    | st.floats(0.5, 2)
    | st.builds(lambda power, sign: 1 + sign * 10.0**-power, st.floats(1, 6), st.sampled_from([-1, 1]))
)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 10**6), st.integers(0, 10**4), MULTS, st.none() | st.integers(1, 300))
def test_cycles_are_those_of_a_walk(size, warmup, mult, limit):
    rows = list(islice(walked(size, warmup, mult, limit), 400))
    table = Cycles(size, warmup, mult, limit)
    last = len(rows) - 1
    steps = {0, *(first + delta for first, _, _ in rows for delta in (-1, 0, 1)), *(first + s for first, s, _ in rows)}
    steps = sorted(step for step in steps if 0 <= step < min(rows[-1][0] + rows[-1][1], 2**53))
    for order in (steps, steps[::-1], steps[:1]):
        events = np.array(order, dtype=float)
        found = table.locate(events)
        for step, number, position in zip(
            order, np.broadcast_to(found.spread(found.number), len(order)), found.position, strict=True
        ):
            first, _, _ = rows[int(number)]
            assert position == step - first >= 0
            assert int(number) == last or step < rows[int(number) + 1][0]
    for number in {0, last // 2, last}:
        if rows[number][0] < 2**53:
            assert table.nth(number)[1:] == rows[number]


@pytest.mark.parametrize(
    ("size", "mult"),
    [(10**5, 1.00001), (10**7, 1.0000001), (10**8, 1.00000001), (10**6, 1.000001), (10**9, 0.999999), (3, 1.0)],
)
@pytest.mark.slow
def test_slow_growth_needs_few_rows(size, mult):
    table = Cycles(size, 0, mult, None)
    table.at(2**53 - 1)
    assert len(table._stretches) < 4 * 10**5
    sizes = [row[1] for row in islice(walked(size, 0, mult), 2000)]
    assert table.nth(1999) == (1999, sum(sizes[:-1]), sizes[-1], 0)


def test_a_far_cycle_of_slow_growth_is_exact():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=10**5, cycle_mult=1.00001)
    firsts = [first for first, _, _ in islice(walked(10**5, 0, 1.00001), 10**5)]
    assert schedule.cycles(firsts[-1]) == 10**5 - 1
    assert schedule.cycles(firsts[-1] + 1) == 10**5
    assert schedule(firsts[-1]) == 1
    assert schedule(firsts[-1] - 1) < 1e-9
    some = firsts[:: 10**4]
    assert schedule.values(some[::-1]).tolist() == [1] * len(some)


def test_lengths_beyond_all_events_are_cycles_too():
    schedule = CosineAnnealing(start_value=1, end_value=0, cycle_size=2**52, cycle_mult=2.0**52)
    assert schedule.values([0, 2**51, 2**52, 2**53 - 1]).round(9).tolist() == [1, 0.5, 1, 1]


def test_threads_share_a_table():
    """Eight threads ask for events ever farther, of one table that none has filled."""
    expected = list(accumulate(row[1] + row[2] for row in islice(walked(50, 7, 1.01), 2000)))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for attempt in range(20):
            table, seen, start = Cycles(50, 7, 1.01, None), [], threading.Barrier(8)

            def ask(table=table, seen=seen, start=start, far=expected[-1] - attempt):
                start.wait()
                events = np.linspace(0, far, 50).round()
                seen.append(([table.at(int(event)) for event in events], table.locate(events).position.tolist()))

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(seen) == 8
            assert all(one == seen[0] for one in seen)
            assert table.starts(expected[-1] - attempt).tolist()[1:] == expected[: len(table.starts(expected[-1])) - 1]
    finally:
        sys.setswitchinterval(interval)
