"""What a declared schedule does over a whole run, found from the config alone: no optimizer, no torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cosched.binding.domains import Domain, idle, shrinking
from cosched.config.schemas import OWN, Binding, schema_of, typed
from cosched.schedules.cyclical import CyclicalSchedule
from cosched.schedules.durations import MAX_EVENTS, Event, Run
from cosched.schedules.remedies import did_you_mean
from cosched.sweeps.sampling import Events, Values, sample
from cosched.sweeps.text import message, told

TARGETS = (*OWN, "cosched.RegisteredScheduler", "cosched.Phase")  # by which `schema_of` knows a node


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A schedule over a run of ``num_events`` of its events."""

    path: str  # where it stands in the config
    declared: Binding  # as it is configured, its durations perhaps with units
    warned: list[str]  # what that alone gives reason to
    schedule: Binding  # its durations in events
    num_events: int
    events: Events  # the sampled events, ascending: every one, or with no peak or trough left out
    values: Values  # their values
    fingerprint: str  # two runs of the same length and values have the same one
    findings: list[str]  # what a user should look at before paying for the run


def declared(config: DictConfig) -> tuple[list[str], dict[str, str]]:
    """The path of every node in an app's config, Hydra's own part aside, whose ``_target_`` is a scheduler of ours.

    And by path, what is wrong with the ``_target_`` of those that only look so.
    """
    errors: dict[str, str] = {}

    def walk(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict):
            try:
                known = schema_of(node)
                if known is None:
                    _check_target(str(node.get("_target_")))
            except ValueError as error:
                errors[path] = str(error)
                return
            if known is not None and issubclass(known, Binding):
                yield path
                return
            for key, child in node.items():
                yield from walk(child, f"{path}.{key}" if path else str(key))
        elif isinstance(node, list):
            for i, child in enumerate(node):
                yield from walk(child, f"{path}[{i}]")

    return list(walk(own(config), "")), errors


def own(config: DictConfig) -> dict[Any, Any]:
    """An app's config as mappings and lists, without Hydra's part, interpolations as text.

    A single value at its top is a node still, whose text is that of the value.
    """
    return {
        key: OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
        for key, node in config.items_ex(resolve=False)
        if key != "hydra"
    }


def _check_target(target: str) -> None:
    """Refuse what names a part of cosched that does not exist, or a scheduler where it does not stand.

    Raises:
        ValueError: the message names what there is.
    """
    if not target.startswith("cosched."):
        return
    _, *folders, name = target.split(".")
    library = import_module("cosched")
    place = Path(str(library.__file__)).parent.joinpath(*folders)
    if folders:  # only looked at: to import it could take seconds
        exists = all(map(str.isidentifier, folders)) and (place.is_dir() or place.with_suffix(".py").is_file())
    else:
        exists = name in library.__all__
    if not exists or f"cosched.{name}" in TARGETS:
        raise ValueError(f"_target_={target} is not a scheduler of cosched: {did_you_mean(target, TARGETS)}")


def fields_at(config: DictConfig, path: str) -> dict[str, Any]:
    """The node at ``path`` as plain data, resolved.

    Raises:
        ValueError: it cannot be resolved.
    """
    try:
        node = OmegaConf.to_container(OmegaConf.select(config, path), resolve=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return cast("dict[str, Any]", node)


def curve(
    path: str,
    fields: Mapping[str, Any],
    epochs: int,
    epoch_length: int,
    *,
    in_force: Callable[[str, Binding, Run], Binding] | None = None,
    **more: Any,
) -> Curve:
    """Evaluate the scheduler that ``fields`` declare over a run of ``epochs`` times ``epoch_length`` iterations.

    ``more`` is what else is known of the run, a `Run`: ``max_iters``, where those end it, ``batch_size``. ``in_force``
    gives the schedule that takes the place of the declared one, as where the run goes on from another one.

    Raises:
        ValueError: they do not describe a scheduler; the message names the field and the remedy.
    """
    declared, warned = read(fields)
    if in_force is not None:
        declared = in_force(path, declared, run_of(declared, epochs, epoch_length, **more))
    return over(path, declared, warned, epochs, epoch_length, **more)


def read(fields: Mapping[str, Any]) -> tuple[Binding, list[str]]:
    """The scheduler that ``fields`` declare, and what is odd about that alone.

    Raises:
        ValueError: as for `curve`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            declared: Any = OmegaConf.to_object(fields if _is_typed(fields) else typed(fields))
        except OmegaConfBaseException as error:
            raise ValueError(str(error).splitlines()[0]) from error
        except (ArithmeticError, AttributeError, TypeError) as error:
            raise ValueError(str(error)) from error
    return declared, [*(str(w.message) for w in caught), *idle(declared)]


def _is_typed(node: Any) -> bool:
    """Whether it is what `typed` would make of it anew, and that takes long: a typed config of numbers alone."""
    return OmegaConf.is_dict(node) and "_convert_" not in node and OmegaConf.get_type(node) is schema_of(node)


def run_of(declared: Binding, epochs: int, epoch_length: int, **more: Any) -> Run:
    """The run in which a scheduler counts its events.

    Raises:
        ValueError: it has none, or too many.
    """
    if epochs < 1 or epoch_length < 1:
        raise ValueError(f"a run of epochs={epochs} of epoch_length={epoch_length} has no events: give both at least 1")
    if epochs * epoch_length > MAX_EVENTS:
        raise ValueError(
            f"a run of epochs={epochs} of epoch_length={epoch_length} has more than 2**53 events: give fewer"
        )
    per_epoch = declared.event is Event.EPOCH_STARTED
    return Run(per_epoch=per_epoch, epoch_length=epoch_length, max_epochs=epochs, **more)


def over(path: str, declared: Binding, warned: list[str], epochs: int, epoch_length: int, **more: Any) -> Curve:
    """Evaluate a scheduler over a run, as `curve` does."""
    run = run_of(declared, epochs, epoch_length, **more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schedule = declared.resolve_in(run)
    num_events = cast("int", run.num_events)
    events, values, fingerprint = sample(schedule, num_events)
    found = [*warned, *(str(w.message) for w in caught), *findings(schedule, num_events, events, values)]
    return Curve(
        path=path,
        declared=declared,
        warned=warned,
        schedule=schedule,
        num_events=num_events,
        events=events,
        values=values,
        fingerprint=fingerprint,
        findings=list(dict.fromkeys(found)),
    )


def evaluate(config: DictConfig, epochs: int, epoch_length: int, **more: Any) -> tuple[list[Curve], dict[str, str]]:
    """The curves of all schedulers that an app's config declares, and by path what is wrong with the others.

    ``more`` is as for `curve`.
    """
    curves: list[Curve] = []
    try:
        paths, errors = declared(config)
    except RecursionError as error:
        return curves, {"config": message(error)}
    for path in paths:
        try:
            node = OmegaConf.select(config, path)
            given = node if _is_typed(node) else fields_at(config, path)
            curves.append(curve(path, given, epochs, epoch_length, **more))
        except (ValueError, RecursionError) as error:
            errors[path] = message(error)
        except Exception as error:  # a shape of another package may raise anything
            errors[path] = told(error)
    return curves, errors


def findings(schedule: Binding, num_events: int, events: Events, values: Values) -> list[str]:
    """What is odd about a schedule over a run: cycles that vanish, an end never reached, values out of bounds."""
    found = shrinking(schedule, num_events)
    domain = Domain(name=schedule.param_name, scales=None if schedule.relative else (1.0,))
    if wrong := domain.wrong(events, values):
        found.append(wrong)
    finite = values[np.isfinite(values)]
    if not finite.size or not isinstance(schedule, CyclicalSchedule):
        return found
    start, end = schedule.start_value, schedule.end_value
    nearest = finite[abs(finite - end).argmin()]
    first = schedule.nth_cycle(0)
    whole = first is not None and first[0] + first[1] <= num_events  # its last event is still before the end
    if start is not None and abs(nearest - end) > (0.05 if whole else 0.01) * abs(start - end):
        found.append(f"the end value {end:g} is never reached, only {nearest:.4g}")
    return found
