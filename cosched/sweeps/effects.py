"""Overrides that cannot matter, and parameters that stay as they are: what a config says beside its schedules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cosched.sweeps.curves import Curve, own

OPTIMIZER = re.compile(r"optim|\bopt\b", re.IGNORECASE)
GROUPS = re.compile(r"optim|\bopt\b|group", re.IGNORECASE)
OTHERS = re.compile(r"scheduler|schedule|callback", re.IGNORECASE)  # what else may drive a parameter


def idle(config: DictConfig, overrides: Iterable[str], curves: Sequence[Curve]) -> dict[str, str]:
    """By key, what is to be said of those overrides that cannot matter, as a schedule sets the parameter at each event.

    That is what is told of an optimizer, and of the only one that there is; not if another part of the config refers to
    it, for then it may matter there.
    """
    owned = {
        c.schedule.param_name: c.path
        for c in curves
        if not c.schedule.relative and c.schedule.param_group is None and c.schedule.param_group_index is None
    }
    found = {}
    for override in overrides:
        key = override.partition("=")[0]
        place = key.lstrip("+")
        above, _, name = place.rpartition(".")
        if name not in owned or not above or any(place.startswith(f"{c.path}.") for c in curves):
            continue
        node, plain = OmegaConf.select(config, above), own(config)
        target = str(node.get("_target_", "")) if OmegaConf.is_dict(node) else ""
        homes = [path for path, key, _ in _walk(plain, "") if key == name and not _inside(path, curves)]
        if not OPTIMIZER.search(f"{above.rpartition('.')[2]} {target}") or homes != [above]:
            continue
        if not any(_refers(text, place.split(".")) for _, _, text in _walk(plain, "")):
            event = "epoch" if "EPOCH" in {c.path: c for c in curves}[owned[name]].schedule.event.name else "iteration"
            found[key] = f"{key} has no effect: {owned[name]} sets {name} at every {event}"
    return found


def own_values(config: DictConfig, curves: Sequence[Curve]) -> dict[str, dict[str, float]]:
    """By path of a relative schedule: where the config gives what it multiplies, for groups or else an optimizer."""
    found = {}
    for c in curves:
        schedule, declared = c.schedule, {}
        if not schedule.relative or schedule.param_group_index is not None:
            continue
        for place, key, _ in _walk(own(config), ""):
            chosen = schedule.param_group is None or fnmatchcase(place.rpartition(".")[2], schedule.param_group)
            if key != schedule.param_name or not chosen or _inside(place, curves):
                continue
            value, target = (OmegaConf.select(config, f"{place}.{name}") for name in (key, "_target_"))
            if GROUPS.search(f"{place} {target}") and type(value) in (int, float) and value:
                declared[place] = float(value)
        of_groups = {place: value for place, value in declared.items() if "group" in place.lower()}
        found[c.path] = of_groups or declared
    return {path: declared for path, declared in found.items() if declared}


def constant(config: DictConfig, curves: Sequence[Curve]) -> list[str]:
    """That the learning rate stays as it is, where schedules drive other parameters alone."""
    driven = {c.schedule.param_name for c in curves}
    if not driven or "lr" in driven:
        return []
    for path, key, value in _walk(own(config), ""):
        if key == "_target_" and OTHERS.search(value) and not _inside(path, curves):
            return []
    return ["no schedule drives lr: it stays as the optimizer has it"]


def _walk(node: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Each value in a config as text, with the path of the mapping that it is in, and its key."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, one in pairs:
        yield path, str(key), "" if isinstance(one, (dict, list)) else str(one)
        yield from _walk(one, f"{path}.{key}" if path else str(key))


def _inside(path: str, curves: Sequence[Curve]) -> bool:
    return any(f"{path}.".startswith(f"{c.path}.") for c in curves)


def _refers(text: str, parts: Sequence[str]) -> bool:
    """Whether an interpolation in ``text`` may lead to a key with these ``parts``."""
    return "${" in text and any(re.search(rf"\b{re.escape(part)}\b", text) for part in parts)
