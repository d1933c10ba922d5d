"""Constructors of bound schedulers, completed from the fields of their shapes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, ClassVar, TypeVar

from hydra.utils import instantiate

from cosched.config.schemas import followed
from cosched.loops.ignite.scheduler import BoundScheduler
from cosched.schedules import docstrings
from cosched.schedules.durations import DATA
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import Schedule

Init = TypeVar("Init", bound=Callable[..., None])


def made(shape: type[Schedule], given: dict[str, Any]) -> Schedule:
    """A schedule of the arguments that are fields of the shape; they are taken out of ``given``.

    Raises:
        TypeError: there is an argument that neither the shape nor a bound scheduler has.
    """
    names = [f.name for f in fields(shape)]
    for name in given.keys() - {*names, *inspect.signature(BoundScheduler).parameters}:
        raise TypeError(f"{shape.__name__} has no field {name!r}: {did_you_mean(name, names)}")
    binding = {name: one.default for name, one in inspect.signature(BoundScheduler).parameters.items()} | given
    values = {name: _built(followed(given.pop(name), binding, name)) for name in names if name in given}
    given |= {name: binding[name] for name in DATA.values() if binding[name] is not None}
    return shape(**values)


def _built(value: Any) -> Any:
    """What `hydra.utils.instantiate` leaves as it is in a schedule's field, so that it is not bound."""
    if isinstance(value, Mapping) and value.get("_target_") is None:
        return {key: _built(one) for key, one in value.items()}
    return instantiate(value, _convert_="all") if isinstance(value, Mapping) else value


def _completed(declared: inspect.Signature, shape: type[Schedule]) -> inspect.Signature:
    """The signature with the fields of the shape and `BoundScheduler`'s arguments in the place of its ``**options``."""
    *own, _ = declared.parameters.values()
    more = {**inspect.signature(shape).parameters, **inspect.signature(BoundScheduler).parameters}
    missing = [one for name, one in more.items() if name not in declared.parameters and name != "schedule"]
    return declared.replace(parameters=[*own, *missing])


def constructor(shape: type[Schedule]) -> Callable[[Init], Init]:
    """Give the declared constructor its body: make a ``shape`` of the arguments that are its fields, and bind it."""

    def decorate(declared: Init) -> Init:
        signature = _completed(inspect.signature(declared), shape)

        @wraps(declared)
        def construct(self: BoundScheduler, *args: Any, **kwargs: Any) -> None:
            for name in kwargs.keys() - signature.parameters.keys():
                known = did_you_mean(name, list(signature.parameters)[1:])
                raise TypeError(f"{type(self).__name__} has no argument {name!r}: {known}")
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            del given["self"]
            schedule = self._schedule_from(given)
            BoundScheduler.__init__(self, schedule=schedule, **given)

        construct.__signature__ = signature  # type: ignore[attr-defined]
        construct.__annotations__ = {one.name: one.annotation for one in list(signature.parameters.values())[1:]}
        return construct  # type: ignore[return-value]

    return decorate


def document(scheduler: type[BoundScheduler], *shape: type[Schedule]) -> None:
    """Let ``help`` say of every argument what the docstrings of the shape and of `BoundScheduler` say."""
    sources = BoundScheduler, *shape, scheduler
    known = {name: meaning for one in sources for name, meaning in docstrings.meanings(one).items()}
    arguments = {name: known[name] for name in inspect.signature(scheduler).parameters if name in known}
    intro = [docstrings.sections(one)[""] for one in (scheduler, *shape)]
    others = {**docstrings.sections(BoundScheduler), "": "\n\n".join(filter(None, intro))}
    scheduler.__doc__ = docstrings.compose("Args", arguments, others)


class ShapeScheduler(BoundScheduler):
    """What the bound schedulers of one shape share; arguments that are not the shape's are `BoundScheduler`'s."""

    shape: ClassVar[type[Schedule]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        document(cls, cls.shape)

    @classmethod
    def _schedule_from(cls, given: dict[str, Any]) -> Schedule:
        return made(cls.shape, given)
