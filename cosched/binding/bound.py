"""A schedule bound to a parameter: position, state and what is refused, whoever turns the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cosched.binding import checkpoint, ignites
from cosched.binding.domains import check, idle, shrinking
from cosched.binding.target import Target
from cosched.config.schemas import ConfigError, Mismatch
from cosched.schedules.durations import Event, Run
from cosched.schedules.fields import flag
from cosched.schedules.phases import Branched, branched
from cosched.schedules.runs import begins
from cosched.schedules.schedule import BLOCK, Schedule, Window


class Bound:
    """A schedule that drives one number in one or all parameter groups of an optimizer.

    Attributes:
        configured: the schedule as it was given, its durations perhaps with units.
        declared: the one that is in force: that one, a checkpoint's, or a branch of a checkpoint's.
        event_index: the event whose value is the next to be applied, from 0.
        current: another object whenever another schedule is in force, or a run begins.
        target: where the values go.
        on_mismatch: what to do when a checkpoint has another schedule.
        data: how many tokens and samples an iteration has, as far as it is known.
        key: where a config that it was made of stands, with a dot at its end, so that errors name the key to set.
    """

    key = ""

    # What identifies the binding in a checkpoint, beside the schedule.
    _binding = ("param_name", "param_group_index", "param_group", "relative", "event", "filtered")

    def __init__(
        self,
        optimizer: Any,
        schedule: Schedule,
        param_name: str,
        *,
        param_group_index: int | None = None,
        param_group: str | None = None,
        relative: bool = False,
        event: Any = Event.ITERATION_STARTED,
        on_mismatch: Mismatch | str = Mismatch.error,
        tokens_per_iteration: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedule={schedule!r} must be a schedule, as cosched.CosineAnnealing(...)")
        if not isinstance(param_name, str):
            raise TypeError(f"param_name={param_name!r} must be the name of a number, as 'lr' or 'betas[0]'")
        if not isinstance(param_group, (str, type(None))):
            raise TypeError(f"param_group={param_group!r} must be a pattern of names, or None for every group")
        self.configured = self.declared = schedule
        self._trunk: Schedule | None = None  # of which a branch is to begin with the next run
        checkpoint.to_plain(schedule)  # a schedule that cannot be saved is refused now, and not hours later
        self.param_name, self.param_group_index, self.param_group = param_name, param_group_index, param_group
        self.relative = flag("relative", relative)
        self.on_mismatch = _policy(on_mismatch)
        self.event = event
        self.knows(tokens_per_iteration=tokens_per_iteration, batch_size=batch_size)
        self.event_index = 0
        self._use(schedule, None)
        self._loaded = False  # whether there is progress that no run has continued yet
        self.target = Target(optimizer, param_name, param_group_index, param_group, self.relative)

    def _use(self, schedule: Schedule, run: Run | None) -> None:
        self._schedule, self._run = schedule, run  # the run in which the schedule was resolved
        self.renew()

    def knows(self, **data: Any) -> None:
        """Take what is known of the data in an iteration; a run that knows more than that decides.

        Raises:
            ValueError: it is not a whole number of at least 1.
        """
        Run(**data)
        self.data = data

    def renew(self) -> None:
        """Let whoever follows a clock look anew at the schedule and at its cycles."""
        self.current = object()

    @property
    def schedule(self) -> Schedule:
        """The pure schedule, a function of the event index; its durations are in events once a run has begun."""
        return self._schedule

    def _repr_svg_(self) -> str | None:
        return self._schedule._repr_svg_()

    @property
    def filtered(self) -> bool:
        """Whether only some of the events are followed."""
        return getattr(self.event, "filter", None) is not None

    def get_param(self) -> float:
        """The value at ``event_index``: the next to be applied.

        Raises:
            OverflowError: it is not finite.
        """
        value = self._schedule(self.event_index)
        if value - value:  # what is not finite has no difference of 0; a call would cost more
            raise self._overflow(value, self.event_index)
        return value

    def apply(self, index: int) -> None:
        """Write the value of the event ``index`` into the optimizer.

        Raises:
            OverflowError: it is not finite.
        """
        self.event_index = index
        if index == 0 and self.waits:
            return
        self.target.write(self.get_param())
        self.event_index = index + 1

    def window(self, index: int) -> Window:
        """Some events around ``index``: the first one, the one after the last, and all their values, which are finite.

        Raises:
            OverflowError: the value at ``index`` is not finite.
        """
        first = index - index % BLOCK
        first, stop, values = self._schedule.window(first, BLOCK)
        if math.isfinite(sum(values)) or all(map(math.isfinite, values)):
            return first, stop, values
        if not math.isfinite(values[index - first]):
            raise self._overflow(values[index - first], index)
        return index, index + 1, values[index - first : index - first + 1]

    def _overflow(self, value: float, index: int) -> OverflowError:
        return OverflowError(
            f"{self.param_name} is {value} at event {index}: a multiplier has overflowed; use multipliers of at most "
            "1, or limit num_cycles"
        )

    @property
    def waits(self) -> bool:
        """Whether the schedule begins at the value that a checkpoint's has reached, and none is loaded yet."""
        return self.on_mismatch is Mismatch.branch and self.declared._open() is not None

    def begin(self, run: Run, anew: bool, num_events: int | None = None, at: int | None = None) -> list[str]:
        """Resolve the schedule for a run that begins (``anew``) or continues, and check all of its values.

        ``num_events`` is how many of them there are; None: one for each of the run's events. ``at`` is how many events
        there have been, by the loop's clock; None: as many as have been applied. Returns what is odd about the
        schedule, in words.

        Raises:
            ValueError: it cannot be resolved, differs from the one that the progress so far was made on, or has a value
                that the parameter cannot take.
        """
        run = run.knowing(**self.data)
        at = self.event_index if at is None else at
        declared = self.declared if self._trunk is None else branched(self._trunk, at, self.configured)
        schedule = declared.resolve_in(run)
        if anew and self._loaded and self.event_index and self.on_mismatch is not Mismatch.config:
            ended = self._run is not None and self.event_index == self._run.num_events
            raise ValueError(
                f"a state of event {self.event_index} was loaded, but the run starts at 0: restore its clock too, an "
                "engine by trainer.load_state_dict(...), for the clock is what the schedule follows"
                + "; if you have, its run had ended, and starts at 0 again: give it more epochs to go on, or "
                f"{self.key}on_mismatch=config to start the schedule anew, too" * ended
            )
        if not anew and self._run is not None:
            differing = checkpoint.differences(checkpoint.to_plain(self._schedule), checkpoint.to_plain(schedule))
            if self._keeps_checkpoint(
                differing, f"this run ({run}) has other durations than the one ({self._run}) before"
            ):
                schedule = self._schedule
            elif differing and self.on_mismatch is Mismatch.branch:
                declared = branched(self._schedule, at, self.configured)
                schedule = declared.resolve_in(run)
        begins(self._bound_to(), self.target.own, declared, run)
        schedule._check_begun()
        num_events = run.num_events if num_events is None else num_events
        check(schedule, num_events, self.target.domain)
        self.declared = declared
        self._use(schedule, run)
        self._loaded, self._trunk = False, None
        return [*idle(self.declared), *shrinking(schedule, num_events)]

    def restore(self, index: int) -> None:
        """Apply the value of the event before ``index``, which a run that is continued had last; go on at ``index``."""
        self.apply(index - 1)

    def _keeps_checkpoint(self, differing: list[str], what: str) -> bool:
        """Whether to go on with the checkpoint's schedule, where it is not the configured one.

        Raises:
            ConfigError: nobody has chosen.
        """
        if differing and self.on_mismatch is Mismatch.error:
            raise ConfigError(
                f"{what}: {'; '.join(differing)}. Choose: {self.key}on_mismatch=config goes on with the schedule of "
                f"this config. {self.key}on_mismatch=checkpoint goes on with the schedule of the checkpoint. "
                f"{self.key}on_mismatch=branch begins the schedule of this config at the event that has been reached"
            )
        return bool(differing) and self.on_mismatch is Mismatch.checkpoint

    def _bound_to(self) -> dict[str, Any]:
        values = {key: getattr(self, key) for key in self._binding}
        return values | {"event": self.event.value}

    def state_dict(self) -> dict[str, Any]:
        """The progress, and what it is the progress of, as plain data.

        Where the run has given the schedule its numbers, they are there too, as ``resolved``, for whoever reads it.
        """
        state = {
            "event_index": self.event_index,
            **self._bound_to(),
            "schedule": checkpoint.to_plain(self.declared),
            "run": None if self._run is None else asdict(self._run),
        }
        return state if self._schedule == self.declared else {**state, "resolved": checkpoint.to_plain(self._schedule)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue at the saved event index; nothing changes unless all of ``state_dict`` fits.

        Where its schedule is another one, ``on_mismatch`` decides. The state of ignite's own cyclical, piecewise linear
        or concatenated scheduler is taken too. A scheduler that follows a clock, as an engine's, needs that restored as
        well.

        Raises:
            TypeError: ``state_dict`` is not a mapping.
            ValueError: a key is missing or wrong, or the state belongs to another parameter or schedule.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict should be a dictionary, but given {type(state_dict)}")
        missing = Bound.state_dict(self).keys() - {"resolved"} - state_dict.keys()  # what a loop adds, another has not
        if missing and (theirs := ignites.position(state_dict, self._schedule)):
            self._load_ignite(state_dict, *theirs)
            return
        if missing:
            raise ValueError(f"state_dict lacks {sorted(missing)}: it was not saved by a {type(self).__name__}")
        index = checkpoint.index(state_dict["event_index"])
        run = checkpoint.run_from_plain(state_dict["run"])
        saved = checkpoint.from_plain(state_dict["schedule"])
        if not isinstance(saved, Schedule):
            raise ValueError(f"schedule={saved!r} in state_dict must hold the fields of a schedule")
        resolved = saved if run is None else saved.resolve_in(run)
        resolved._check_begun()
        here = self._bound_to()
        others = checkpoint.differences({key: state_dict[key] for key in here}, here)
        differing = checkpoint.differences(checkpoint.to_plain(saved), checkpoint.to_plain(self.configured))
        what, goes_on = "the checkpoint has another schedule", not differing
        if differing and isinstance(saved, Branched):
            what += f", with a branch that began at event {saved.at}"
            others_of_branch = checkpoint.differences_of_branch(saved, self.configured)
            if not others_of_branch:
                goes_on = self.on_mismatch is Mismatch.branch
                differing = ["its branch is what is configured here, and on_mismatch=branch goes on with it"]
            elif not isinstance(self.configured, Branched):
                differing = others_of_branch
        keep = self._keeps_checkpoint(others + differing * (not goes_on), what)
        if others and self.on_mismatch in (Mismatch.checkpoint, Mismatch.branch):
            raise ConfigError(
                f"on_mismatch={self.on_mismatch.value} is about the schedule alone, but {'; '.join(others)}"
            )
        self._trunk = None
        self.declared = saved if keep or goes_on else self.configured
        if keep or goes_on:
            self._use(resolved, run)
        elif self.on_mismatch is Mismatch.branch:
            self._trunk = resolved
            self.declared = branched(resolved, index, self.configured)
            self._use(self.declared, None)
        else:
            self._use(self.declared, None)
        self.event_index, self._loaded = index, True

    def _load_ignite(self, state_dict: Mapping[str, Any], index: int, differing: list[str]) -> None:
        binding = ("param_name", "param_group_index")
        differing += checkpoint.differences(
            {key: state_dict.get(key) for key in binding}, {key: getattr(self, key) for key in binding}
        )
        keep = self._keeps_checkpoint(differing, "ignite's scheduler may have had another schedule")
        if keep or (differing and self.on_mismatch is Mismatch.branch):
            raise ConfigError(
                f"{'; '.join(differing)}, and ignite does not save what it began with: construct the scheduler with "
                "the numbers that ignite's was constructed with"
            )
        self.event_index, self._loaded = index, True


def _policy(value: Any) -> Mismatch:
    try:
        return Mismatch(getattr(value, "value", value))
    except ValueError:
        choices = ", ".join(one.value for one in Mismatch)
        raise ValueError(f"on_mismatch={value!r} must be one of {choices}") from None
