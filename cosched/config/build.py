"""From config nodes to objects: what a config may call, and the call. Values are resolved once, and never run."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cosched.config.schemas import Binding, ConfigError, schema_of, typed
from cosched.schedules.remedies import did_you_mean
from cosched.schedules.schedule import Schedule

HYDRAS = ("_target_", "_args_", "_convert_", "_partial_", "_recursive_")  # keys for `hydra.utils.instantiate`


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What the ``_target_`` of a config may name: a class of certain kinds in certain packages, or what is listed.

    A package alone would not do: functions that import, write or bring their own permissions stand in most.

    Attributes:
        kinds: the classes whose subclasses may be made.
        packages: where they may stand, each with a dot at its end: ``"torch.nn."``.
        names: what may be called besides, whatever it is: ``"my_package.make"``, or all of ``"my_package."``.
    """

    kinds: tuple[type, ...]
    packages: tuple[str, ...]
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.names, str):  # one name, and not its letters
            object.__setattr__(self, "names", (self.names,))

    def find(self, target: str) -> Callable[..., Any]:
        """What ``target`` names; nothing outside the allowed packages is even imported.

        Raises:
            ValueError: it may not be called, or its name in an allowed package only leads outside.
            ImportError: it does not exist.
        """
        if not _within(target, (*self.packages, *self.names)):
            raise ValueError(self._refusal(target, target))
        try:
            found = pkgutil.resolve_name(target)
        except Exception as error:  # on the way to a name anything may be looked up, and raise
            raise ImportError(f"_target_={target} does not exist: {error}") from error
        if isinstance(found, type) or inspect.isroutine(found):
            home = f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', '?')}"
        else:
            home = f"an object of {type(found).__name__}"
        if target in self.names or (_within(target, self.names) and _within(home, self.names)):
            return found  # type: ignore[no-any-return]
        if not (_within(home, self.packages) and isinstance(found, type) and issubclass(found, self.kinds)):
            raise ValueError(self._refusal(target, home))
        return found

    def _refusal(self, target: str, home: str) -> str:
        kinds = ", ".join(kind.__name__ for kind in self.kinds)
        return (
            f"_target_={target} would call {home}, but a config may only make objects of {kinds} from "
            f"{', '.join(self.packages)}{' and call ' if self.names else ''}{', '.join(self.names)}: "
            "if it is meant, allow it where the config is used, as in cosched.attach(..., allow=...)"
        )


def _within(name: str, items: Sequence[str]) -> bool:
    return any(name.startswith(item) if item.endswith(".") else name == item for item in items)


def resolved(node: Any, path: str) -> Any:
    """A config node, an instance of one of its schemas, or plain data with interpolations in it, as data without.

    Raises:
        ConfigError: a value is missing or cannot be resolved, or an interpolation is left, as where ``\\${`` escapes
            it: a second look would run it.
    """
    if is_dataclass(node):  # checked already, and with schedules in it that stay what they are
        return {f.name: getattr(node, f.name) for f in fields(node)}
    try:
        config = node if OmegaConf.is_config(node) else OmegaConf.create(node, flags={"allow_objects": True})
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        field = error.full_key or ""
        raise ConfigError(f"{path}: {text if field.rpartition('.')[2] in text else f'{field}: {text}'}") from error
    refuse_interpolations(plain, path)
    return plain


def refuse_interpolations(plain: Any, path: str) -> None:
    """Refuse data, already resolved, in which a text would be resolved again.

    Raises:
        ConfigError: the message names the place.
    """
    if isinstance(plain, str) and "${" in plain:
        raise ConfigError(f"{path}={plain!r} still holds '${{' after it was resolved: write the value itself")
    if isinstance(plain, (Mapping, list)):
        for key, one in plain.items() if isinstance(plain, Mapping) else enumerate(plain):
            refuse_interpolations(key, path)
            refuse_interpolations(one, f"{path}[{key}]" if isinstance(plain, list) else f"{path}.{key}")


def build(node: Any, allowed: Allowed, path: str, *args: Any, **given: Any) -> Any:
    """What ``node``, a config or plain data, describes, the innermost first, so that an error tells where it is.

    ``path`` is where the node stands, for errors, and ``allowed`` what may be called in it. ``args`` are for the
    outermost. Of ``given``, each object goes to every callable that has a parameter of its name. A bound scheduler that
    stands inside another one of ours, as where that follows it, is not bound: it is made of its config alone.

    Raises:
        ConfigError: something in it may not be called, or refuses its arguments; the message begins with the path.
    """
    return _build(resolved(node, path) if OmegaConf.is_config(node) else node, allowed, path, args, given, False)


def _build(node: Any, allowed: Allowed, path: str, args: Sequence[Any], given: Mapping[str, Any], inside: bool) -> Any:
    if isinstance(node, list):
        return [_build(one, allowed, f"{path}[{i}]", (), given, inside) for i, one in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    target = node.get("_target_")
    try:
        found = None if target is None else allowed.find(str(target))  # before anything inside it is made
        ours = None if target is None else schema_of(node)
        if inside and ours is not None and issubclass(ours, Binding):
            return OmegaConf.to_object(typed(node))
    except (ImportError, OmegaConfBaseException, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    inside = inside or ours is not None
    made = {key: _build(one, allowed, f"{path}.{key}", (), given, inside) for key, one in node.items()}
    if found is None:
        return made
    keywords = {str(key): one for key, one in made.items() if key not in HYDRAS}
    try:
        takes = inspect.signature(found).parameters
        anything = any(one.kind is one.VAR_KEYWORD for one in takes.values())
        for key in keywords:
            if not (anything or key in takes):
                names = [name for name in takes if name not in given and not name.startswith("_")]
                raise TypeError(f"{found.__name__} has no field {key!r}: {did_you_mean(key, names)}")
        anything = anything and not (isinstance(found, type) and issubclass(found, Schedule))  # it is pure
        keywords = {key: _tuples(one, takes[key].annotation) if key in takes else one for key, one in keywords.items()}
        keywords |= {key: one for key, one in given.items() if anything or key in takes}
        return found(*args, *made.get("_args_", ()), **keywords)
    except (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _tuples(value: Any, kind: Any) -> Any:
    """``value`` with its lists made tuples, where ``kind``, the type of a parameter, asks for them: YAML has none."""
    outer, inner = get_origin(kind), get_args(kind)
    if isinstance(value, list) and outer is tuple:
        return tuple(value)
    if isinstance(value, list) and outer in (list, Sequence) and inner:
        return [_tuples(one, inner[0]) for one in value]
    return value
