"""What the benchmarks have in common: a measured figure beside its peers, and medians of interleaved runs."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")


@dataclass
class Row:
    """One figure: what it is of, in which unit, what stands beside it and what was aimed at."""

    what: str
    value: float
    unit: str
    beside: str = ""
    met: bool | None = None  # whether the target is met; None: there is none

    def cells(self) -> list[str]:
        """As a row of a table."""
        return [
            self.what,
            f"{self.value:,.4g} {self.unit}",
            self.beside,
            {None: "", True: "yes", False: "no"}[self.met],
        ]


def seconds(call: Callable[[], object]) -> float:
    """One call's time."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def interleaved(
    calls: Mapping[K, Callable[[], object]], rounds: int, pick: Callable[[list[float]], float] = statistics.median
) -> dict[K, float]:
    """The median time of each call, or what ``pick`` makes of its times; all of them are called in each round."""
    times = [{name: seconds(call) for name, call in calls.items()} for _ in range(rounds)]
    return {name: pick([one[name] for one in times]) for name in calls}
