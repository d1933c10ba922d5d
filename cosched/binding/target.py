"""Where a value goes: the only code that writes into an optimizer, or into what stands in for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from fnmatch import fnmatchcase
from functools import partial
from numbers import Real
from operator import is_not
from typing import Any

import torch
from torch import Tensor

from cosched.binding.domains import Domain
from cosched.schedules.remedies import did_you_mean

Group = dict[str, Any]
Other = tuple[Group, Tensor | None, Callable[[float], object]]  # a group, the tensor to fill in it, what does so


class Target:
    """The numbers that a scheduler drives: a parameter, or one element of it (``betas[0]``), in the chosen groups.

    A tensor keeps its identity and is filled, without synchronising its device. What can be decided before an event is
    decided when the groups are bound; that happens again when the optimizer has other groups or tensors, as after its
    ``add_param_group`` or ``load_state_dict``, or where one has been replaced by hand.

    What is no optimizer but has ``param_groups`` may list in ``no_parameters`` which of its keys are not to be driven;
    nothing is known of the values that the others can take. What is to be done about a number that it does not have, it
    may say in ``absent``, and in ``place`` what stands before its keys in a config.
    """

    def __init__(self, optimizer: Any, name: str, index: int | None, pattern: str | None, relative: bool) -> None:
        self.optimizer, self.name, self.index, self.pattern, self.relative = optimizer, name, index, pattern, relative
        others: Collection[str] | None = getattr(optimizer, "no_parameters", None)
        self._hidden: Collection[str] = ("params",) if others is None else others
        chosen = self._choose(optimizer.param_groups)
        names = list(dict.fromkeys(number for group in chosen for number in _numbers(group, self._hidden)))
        if name == "momentum" and name not in names:
            name = "betas[0]"  # what Adam and its kin call their momentum
        if name not in names:
            place, absent = (getattr(optimizer, one, "") for one in ("place", "absent"))
            said = [did_you_mean(place + self.name, [place + one for one in names])] if names else []
            said += [absent.format(name=name)] if absent and name not in self._hidden else []
            raise ValueError(
                f"param_name={place + self.name!r} names no number to schedule: {'; '.join(said) or 'there is none'}"
            )
        self.number = name
        self._key, _, element = name.removesuffix("]").partition("[")
        self._element = int(element) if element else None
        self._initial: dict[int, float] = {}
        self._bounded = others is None
        self.write = self._writer()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by binding anew: a copy must not fill the tensors of the original."""
        return Target, (self.optimizer, self.name, self.index, self.pattern, self.relative)

    def read(self) -> list[float]:
        """What the driven groups hold, in their order; waits for the device where that is a tensor."""
        return [float(self._get(group)) for group in self.groups]

    def values(self, value: float) -> list[float]:
        """What `write` makes of ``value`` in each driven group."""
        return [value * scale for scale in self.scales]

    @property
    def own(self) -> dict[str, float]:
        """What a relative schedule multiplies in each driven group, by the group's name, or else its index."""
        return dict(zip(self._called(), self.scales, strict=True)) if self.relative else {}

    @property
    def domain(self) -> Domain:
        """The values that may be written."""
        tensors = [current for current in map(self._get, self.groups) if isinstance(current, Tensor)]
        most = min((torch.finfo(tensor.dtype).max for tensor in tensors), default=math.inf)
        return Domain(name=self.number if self._bounded else None, scales=self.scales, most=most)

    def numbers(self) -> dict[tuple[int, str], str]:
        """What identifies each number that is written, with its name."""
        return {
            (id(group), self.number): f"{self.number} of group {name}"
            for group, name in zip(self.groups, self._called(), strict=True)
        }

    def _called(self) -> list[str]:
        """The name of each driven group, or else its index."""
        at = {id(group): i for i, group in enumerate(self.optimizer.param_groups)}
        return [str(group.get("name", at.get(id(group)))) for group in self.groups]

    def _choose(self, groups: Sequence[Group]) -> Sequence[Group]:
        if self.index is not None and self.pattern is not None:
            raise ValueError(
                f"param_group_index={self.index} and param_group={self.pattern!r} both choose groups: give one of them"
            )
        if self.index is not None:
            if isinstance(self.index, bool) or not isinstance(self.index, int):
                raise TypeError(f"param_group_index={self.index!r} must be an integer, or None for every group")
            if not -len(groups) <= self.index < len(groups):
                raise ValueError(
                    f"param_group_index={self.index} is out of range: the optimizer has {len(groups)} parameter "
                    f"group(s), so give 0 to {len(groups) - 1}, or None for every group"
                )
            return [groups[self.index]]
        if self.pattern is None:
            return groups
        chosen = [group for group in groups if fnmatchcase(str(group.get("name", "")), self.pattern)]
        if not chosen:
            names = [str(group["name"]) for group in groups if "name" in group]
            raise ValueError(
                f"param_group={self.pattern!r} matches the name of no parameter group: "
                f"{did_you_mean(self.pattern, names)}"
            )
        return chosen

    def _writer(self) -> Callable[[float], None]:
        """What sets every number to a value, or where relative to the value times its initial value.

        A closure: its locals are at hand in each event, where attributes would have to be looked up.
        """
        optimizer, key = self.optimizer, self._key
        plain, others, held = self._bind(optimizer.param_groups)

        def write(value: float) -> None:
            nonlocal plain, others, held
            for group in plain:
                group[key] = value
            if others:  # rarely, and the test is quicker than an empty loop
                for group, tensor, put in others:
                    if tensor is not None and self._get(group) is not tensor:
                        held = ()  # the tensor has been exchanged: bind anew, below
                    put(value)
            # Last, when a group that was replaced by its copy differs from what is bound in the value just written.
            # What is bound is the same object, so the lists are compared by identity, quickly, unless they differ.
            try:
                same = optimizer.param_groups == held
            except RuntimeError:  # two tensors of several elements have been compared
                same = False
            if not same:
                plain, others, held = self._bind(optimizer.param_groups)
                for group in plain:
                    group[key] = value
                for _, _, put in others:
                    put(value)
                if any(map(is_not, optimizer.param_groups, held)):
                    self._refuse_copies(value)

        return write

    def _refuse_copies(self, value: float) -> None:
        """Refuse an optimizer whose groups are made anew at each access: what is written into them is lost."""
        groups = self._holding(self._choose(self.optimizer.param_groups))
        if any(
            float(self._get(group)) != float(self._get(mine)) for group, mine in zip(groups, self.groups, strict=True)
        ):
            raise RuntimeError(
                f"param_name={self.name!r} cannot be driven: {type(self.optimizer).__name__}.param_groups gives copies "
                f"of its groups, so that {value} is not kept; bind the optimizer inside it"
            )

    def _bind(self, groups: Sequence[Group]) -> tuple[list[Group], list[Other], Sequence[Group]]:
        """The driven groups whose key can just be assigned, how to write into each of the others, and all groups."""
        self.groups = self._holding(self._choose(groups))
        driven = {id(group) for group in self.groups}
        taken = {id(self._get(group)) for group in self._holding(groups) if id(group) not in driven}
        plain: list[Group] = []
        others: list[Other] = []
        self.scales = [1.0] * len(self.groups)
        for i, group in enumerate(self.groups):
            current = self._get(group)
            if isinstance(current, Tensor) and id(current) in taken:
                # torch gives several groups one and the same tensor; these are to differ.
                current = current.detach().clone()
                self._put(group, current)
            if self.relative:
                self.scales[i] = self._initial_value(group, i)
                if self.number == "lr":  # timm's layer decay gives groups one rate, and each a factor for schedulers
                    self.scales[i] *= group.get("lr_scale", 1.0)
                taken.add(id(current))
            whole = isinstance(current, int) and not self._bounded  # in an optimizer it is a float written short
            if isinstance(current, Tensor):
                put: Callable[[float], object] = current.detach().fill_
            elif self._element is None and not self.relative and not whole:
                plain.append(group)
                continue
            else:
                put = partial(self._put, group)
                put = partial(_whole, put) if whole else put
            tensor = current if isinstance(current, Tensor) else None
            others.append((group, tensor, partial(_scaled, put, self.scales[i]) if self.relative else put))
        return plain, others, copy(groups)

    def _holding(self, groups: Sequence[Group]) -> list[Group]:
        return [group for group in groups if self.number in _numbers(group, self._hidden)]

    def _initial_value(self, group: Group, i: int) -> float:
        """The value that a relative schedule multiplies, kept in the group where torch keeps it too."""
        key = f"initial_{self.number}"
        if key not in group:  # after a checkpoint without it, what the group holds may be long past its initial value
            group[key] = self._initial.get(i, float(self._get(group)))
        self._initial[i] = float(group[key])
        if self._initial[i] == 0:
            raise ValueError(
                f"param_name={self.name!r} is 0 in group {group.get('name', i)}, and relative=True multiplies that: "
                "give the optimizer a value other than 0"
            )
        return self._initial[i]

    def _get(self, group: Group) -> Any:
        return group[self._key] if self._element is None else group[self._key][self._element]

    def _put(self, group: Group, value: Any) -> None:
        if self._element is None:
            group[self._key] = value
            return
        old = group[self._key]
        new = [*old[: self._element], value, *old[self._element + 1 :]]
        group[self._key] = type(old)(new)


def _scaled(put: Callable[[float], object], scale: float, value: float) -> None:
    put(value * scale)


def _whole(put: Callable[[float], object], value: float) -> None:
    put(int(value) if value.is_integer() else value)


def _numbers(group: Group, hidden: Collection[str]) -> Iterator[str]:
    """The name of every number that ``group`` holds; ``betas[0]`` for an element of a tuple or list."""
    for key, value in group.items():
        if key in hidden or (key.startswith("initial_") and key[8:].partition("[")[0] in group):
            continue
        if _is_number(value):
            yield key
        elif isinstance(value, (tuple, list)):
            yield from (f"{key}[{i}]" for i, element in enumerate(value) if _is_number(element))


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.is_floating_point()
    return isinstance(value, Real) and not isinstance(value, bool)
