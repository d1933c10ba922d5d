"""One value after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from cosched.schedules.combined import Outer
from cosched.schedules.durations import Run
from cosched.schedules.fields import duration, number
from cosched.schedules.phase import lasting
from cosched.schedules.phases import Phases
from cosched.schedules.registry import register
from cosched.schedules.schedule import S, Schedule
from cosched.schedules.shapes import Constant

if TYPE_CHECKING:
    from cosched.schedules.schedule import Array


@register("stages")
@dataclass(kw_only=True)
class Stages(Outer):
    """One value after another, each for its own duration; after a last stage that ends, its value holds.

    Several parameters can share one table of stages: in a config, ``durations: ${stages.durations}``.

    >>> Stages(durations=[2, 3, None], levels=[0.1, 0.02, 0.004]).values(range(7)).tolist()
    [0.1, 0.1, 0.02, 0.02, 0.02, 0.004, 0.004]

    Attributes:
        durations: how long each stage lasts: events, or with a unit (``5ep``, ``500it``, ``25%``), at least 0; the last
            one may be null: to the end of the run. A stage of 0 events is left out.
        levels: the value in each stage, in the parameter's own unit.
        whole: whether the durations, if none is null, are together those of the whole run; then it is checked once the
            run is known. Parts of events, which units may leave over, belong to the last stage.

    Raises:
        ValueError: there are not as many levels as durations; or they are longer or shorter than a run, and ``whole``.
    """

    durations: list[Any]
    levels: list[Any]
    whole: bool = True

    def __post_init__(self) -> None:
        for name in ("durations", "levels"):
            column = getattr(self, name)
            if not isinstance(column, (list, tuple)) or not column:
                raise TypeError(f"{name}={column!r} must be a list, with one of them for each stage, at least one")
        if len(self.durations) != len(self.levels):
            raise ValueError(
                f"durations={list(self.durations)} and levels={list(self.levels)} must be as many, one for each stage: "
                f"they are {len(self.durations)} and {len(self.levels)}"
            )
        *before, last = self.durations
        checked: list[Any] = [duration(f"durations[{i}]", one, 0) for i, one in enumerate(before)]
        checked.append(last if last is None else duration(f"durations[{len(before)}]", last, 0))
        self.durations = checked
        self.levels = [number(f"levels[{i}]", one) for i, one in enumerate(self.levels)]
        super().__post_init__()

    def inner(self) -> Schedule:  # noqa: D102
        return self._once(_phases)

    def resolve_in(self: S, run: Run) -> S:  # noqa: D102
        one = cast("Stages", self)
        declared = list(one.durations)
        events = [span and run.events(f"durations[{i}]", span, 0) for i, span in enumerate(declared)]
        end = run.num_events if run.span is None else run.span
        if one.whole and end is not None and None not in events:
            cut = [
                span for span in declared if isinstance(span, str) and ("." in span or span[-2:] not in ("ep", "it"))
            ]
            if abs(sum(events) - end) >= max(len(cut), 1):  # each leaves less than an event
                raise ValueError(
                    f"durations={declared} are {sum(events)} events together, and the run has {end}: make them as "
                    "many, leave the last one null for what remains, or give whole=false"
                )
            events[-1] = None
        return self if events == declared else replace(self, durations=events)  # type: ignore[call-arg]

    def _durations(self) -> dict[str, Any]:
        return {f"durations[{i}]": span for i, span in enumerate(self.durations) if span is not None}

    def _values(self, steps: Array) -> Array:
        return self.inner()._values(steps)

    def _reached(self, duration: int) -> float:
        return self.inner()._reached(duration)

    def bounds(self, events: range) -> tuple[float, float] | None:  # noqa: D102
        return self.inner().bounds(events)


def _phases(stages: Stages) -> Phases:
    pairs = zip(stages.levels, stages.durations, strict=True)
    return Phases(phases={f"stage{i}": lasting(Constant(value=value), span) for i, (value, span) in enumerate(pairs)})
