"""The shapes that configs, checkpoints and bound schedulers know by name: ours, and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import cosched
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import Schedule

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

S = TypeVar("S", bound=type[Schedule])

GROUP = "cosched.shapes"  # the entry points by which other packages offer their shapes

_shapes: dict[str, type[Schedule]] = {}


def register(name: str) -> Callable[[S], S]:
    """Make a shape, a dataclass derived from `cosched.Schedule` or one of our shapes, known to configs as ``name``.

    Then ``scheduler=name`` is an option of Hydra's with the fields of the shape, ``/cosched/phase/name`` is a phase,
    and checkpoints hold it by that name. A package offers a shape to every app in the environment by an entry point::

        [project.entry-points."cosched.shapes"]
        my_shape = "my_package.my_module:MyShape"

    Args:
        name: a Python identifier, by convention in lower case: ``"sqrt_annealing"``.

    Raises:
        TypeError: what is decorated is not a dataclass derived from `cosched.Schedule`.
        ValueError: another shape has that name, or ``name`` is not an identifier.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name={name!r} must be an identifier, as 'sqrt_annealing'")

    def decorate(shape: S) -> S:
        if not (isinstance(shape, type) and issubclass(shape, Schedule) and "__dataclass_fields__" in vars(shape)):
            raise TypeError(
                f"{shape!r} cannot be registered as {name!r}: decorate a class derived from cosched.Schedule with "
                "@dataclass(kw_only=True) first"
            )
        if not is_ours(shape):
            _load_ours()
        known = _shapes.get(name, shape)
        if _described(known) != _described(shape):  # Hydra's plugin scan may execute a module twice
            raise ValueError(f"{_described(known)} and {_described(shape)} are both registered as {name!r}: rename one")
        shape.__hash__ = Schedule.__hash__  # type: ignore[method-assign]  # a dataclass with == has lost it
        _shapes[name] = shape
        return shape

    return decorate


def _described(shape: type[Any]) -> str:
    return f"{shape.__module__}.{shape.__qualname__}"


def is_ours(shape: type[Any]) -> bool:
    """Whether a shape is one of this package."""
    return shape.__module__.startswith(f"{__package__}.")


@cache
def _load_ours() -> None:
    """Let our shapes register themselves: not before a name is asked for, since a start may need one of them only."""
    for home in sorted(set(cosched._homes().values())):
        if home.startswith(f"{__package__}."):
            import_module(home)


@cache
def _offered() -> dict[str, list[EntryPoint]]:
    """The entry points of other packages by the name of the shape, usually one each; nothing is loaded."""
    from importlib.metadata import entry_points  # it takes its time, and most configs name shapes of ours

    found: dict[str, list[EntryPoint]] = {}
    for one in entry_points(group=GROUP):
        others = found.setdefault(one.name, [])
        if one.value not in [other.value for other in others]:  # an editable install may show a package twice
            others.append(one)
    return found


def _package(one: EntryPoint) -> str:
    return one.dist.name if one.dist else "an unknown package"


def registered() -> dict[str, type[Schedule]]:
    """Our shapes, and those of other packages that are loaded, by name."""
    _load_ours()
    return dict(_shapes)


def names() -> list[str]:
    """The names of all shapes, those that other packages offer included."""
    return sorted({*registered(), *_offered()})


def known(name: str) -> bool:
    """Whether there is a shape of that name; one of another package is not loaded."""
    return name in registered() or name in _offered()


def shape(name: str) -> type[Schedule]:
    """The shape that is registered as ``name``; that of another package is loaded now.

    Raises:
        TypeError: the name is not text.
        ValueError: there is no such shape, it cannot be loaded, or two packages offer it.
    """
    if not isinstance(name, str):
        raise TypeError(f"shape={name!r} must be the name of a registered shape, as 'constant'")
    if name not in registered():
        _load(name)
    if name not in _shapes:
        raise ValueError(
            f"{name!r} is not a registered shape: {did_you_mean(name, names())}. A shape of another package needs that "
            f"package, installed with an entry point in the group {GROUP!r} or imported"
        )
    return _shapes[name]


def _load(name: str) -> None:
    offers = _offered().get(name, [])
    if len(offers) > 1:
        packages = " and ".join(f"{one.value} ({_package(one)})" for one in offers)
        raise ValueError(f"{packages} are both offered as the shape {name!r}: uninstall one of the packages")
    for one in offers:
        try:
            found = one.load()
        except Exception as error:  # whatever its package raises
            raise ValueError(
                f"the shape {name!r} of {_package(one)} ({one.value}) cannot be loaded: {error}"
            ) from error
        if _shapes.get(name) is not found:
            raise ValueError(
                f"{_package(one)} offers {one.value} as the shape {name!r}, but does not register it: decorate it with "
                f'@cosched.register("{name}")'
            )


def name_of(shape: type[Any]) -> str:
    """The name under which ``shape`` is registered.

    Raises:
        ValueError: it is not registered.
    """
    for name, one in _shapes.items():
        if one is shape:
            return name
    raise ValueError(
        f'{_described(shape)} is not registered: decorate it with @cosched.register("a_name"), so that checkpoints and '
        "configs can name it"
    )


class Derived:
    """Types that are derived from shapes, each made when it is asked for: ``phase.cosine_annealing``.

    It stands in ``module`` as ``name``, where pickle finds the types as it finds any class, in another process too.
    """

    def __init__(self, module: str, name: str, make: Callable[[str, type[Schedule]], type[Any]]) -> None:
        self._module, self._name, self._make = module, name, make
        self.__module__ = module

    def __reduce__(self) -> str:
        return self._name  # the older protocols of pickle, as torch.save uses one, ask for what the types stand in

    def __call__(self, shape: type[Any]) -> type[Any]:
        """The type that is derived from a registered shape.

        Raises:
            ValueError: it is not registered, or its fields do not go with those that are added.
        """
        name = name_of(shape)
        if name not in vars(self):
            made = self._make(name, shape)
            made.__module__, made.__qualname__ = self._module, f"{self._name}.{name}"
            made.__hash__ = Schedule.__hash__  # type: ignore[assignment]
            setattr(self, name, made)
        return vars(self)[name]  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> type[Any]:
        if not known(name):
            raise AttributeError(name)
        return self(shape(name))
