"""The gallery: a card for each shape and each preset, made of the package itself, and its picture.

A shape or a preset that is added has its card without being told.
"""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import cosched
from cosched.config.editors import described
from cosched.schedules import registry
from cosched.schedules.docstrings import sections
from cosched.schedules.durations import Duration

PRESETS = Path(str(cosched.__file__)).parent / "conf" / "scheduler"
RUN = {"epoch_length": 100, "max_epochs": 30}  # over which they are drawn
FEW = 24  # or so many events, for an example that counts a few
SHOWN = 5  # events whose values a card tells
USUAL: Mapping[str, Any] = {"start_value": 0.1, "end_value": 0.001, "value": 0.05}
PART = "34%"  # of the run, where a duration is needed
GREY, BLUE = "#7a7a7a", "#2a8fce"  # legible on white and on black


def shapes() -> list[str]:
    """The names of the registered shapes."""
    return registry.names()


def presets() -> list[str]:
    """The names of the packaged presets."""
    return sorted(file.stem for file in PRESETS.glob("*.yaml"))


@cache
def example(name: str) -> cosched.Schedule:
    """A schedule to show a shape by: with usual values, or, where those do not do, that of its docstring.

    Raises:
        LookupError: it needs others, and its docstring makes none.
    """
    shape: Any = registry.shape(name)
    hints = {one.name: hint for one, hint, _ in described(shape)}
    needed = [one.name for one in fields(shape) if one.default is MISSING and one.default_factory is MISSING]
    usual = {one: USUAL.get(one, PART if hints[one] == Duration else None) for one in needed}
    if None not in usual.values():
        with suppress(ValueError):
            return shape(**usual)
    made: list[cosched.Schedule] = []

    def noted(**given: Any) -> cosched.Schedule:
        made.append(shape(**given))
        return made[-1]

    names = {one: getattr(cosched, one) for one in cosched.__all__} | {shape.__name__: noted}
    for one in doctest.DocTestParser().get_examples(inspect.cleandoc(shape.__doc__ or "")):
        if not one.source.startswith("from cosched"):  # the names are there
            exec(one.source, names)
    if not made:
        raise LookupError(f"the docstring of {shape.__name__} has no example that makes one: give it one")
    return made[0]


def compose_scheduler(*overrides: str) -> Any:
    """What Hydra composes in the group ``scheduler``, made."""
    GlobalHydra.instance().clear()
    with initialize(version_base=None, config_path=None):
        return OmegaConf.to_object(compose(overrides=[*overrides]).scheduler)


@cache
def shown(name: str) -> tuple[cosched.Schedule, int]:
    """What is drawn of a shape or preset, in events, and over how many of them."""
    if name in presets():
        schedule: cosched.Schedule = compose_scheduler(f"+scheduler={name}")
    else:
        schedule = example(name)
        if not re.search(r"\d(%|ep|it)'", repr(schedule)):
            return schedule.resolve(**RUN), FEW
    epochs = getattr(schedule, "event", None) is cosched.Event.EPOCH_STARTED
    return schedule.resolve(**RUN), RUN["max_epochs"] * (1 if epochs else RUN["epoch_length"])


def draw(folder: Path) -> None:
    """Draw all of them, large and small, without a ground and in colours for light and dark pages."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    (folder / "small").mkdir(parents=True, exist_ok=True)
    grey = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    with rc_context({"svg.hashsalt": "cosched", **grey}):
        for name in [*shapes(), *presets()]:
            schedule, num_events = shown(name)
            figure = Figure(figsize=(6.4, 2.2), layout="constrained")
            axes = schedule.plot(num_events, figure.subplots(), color=BLUE, linewidth=1.8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.25)
            figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
            axes.set_axis_off()
            axes.lines[0].set_linewidth(5)
            figure.savefig(folder / "small" / f"{name}.svg", transparent=True, metadata={"Date": None})


def card(name: str) -> str:
    """The card of a shape or a preset."""
    schedule, num_events = shown(name)
    if name in presets():
        said, declaration, command = _told(name), _content(name), f"scheduler={name}"
        links = f"Made of {', '.join(f'[{one}](#{one})' for one in dict.fromkeys(_shapes_in(schedule)))}."
    else:
        said = markdown(sections(registry.shape(name))[""])
        lists, values = declared(example(name))
        items = [f"scheduler: {name}", *(f"cosched/phase@{at}: {shape}" for at, shape in lists), "_self_"]
        defaults = "".join(f"  - {one}\n" for one in items)
        declaration = f"defaults:\n{defaults}\nscheduler:\n" + "\n".join(_block(values, "  "))
        command = " \\\n  ".join(shlex.quote(one) for one in overrides(name))
        links = f"[Its fields.](reference/config.md#{name})"
    events = [round((num_events - 1) * i / (SHOWN - 1)) for i in range(SHOWN)]
    parts = [
        f"### {name}",
        f"![The curve of {name}](_generated/{name}.svg)",
        said,
        links,
        f"```yaml\n{declaration.strip()}\n```",
        f"```console\ncosched-train hydra/launcher=preview {command}\n```",
        f"| event | {' | '.join(map(str, events))} |\n| --- |{' ---: |' * SHOWN}\n"
        f"| value | {' | '.join(f'{value:.6g}' for value in schedule.values(events).tolist())} |",
    ]
    return "\n\n".join(parts)


def overview(what: str) -> str:
    """Small pictures of the shapes, or of the presets, that lead to the cards."""
    links = "".join(
        f'<a href="#{name}"><img src="_static/{name}.svg" alt="" loading="lazy"><span>{name}</span></a>'
        for name in {"shapes": shapes, "presets": presets}[what]()
    )
    return f'<div class="overview">{links}</div>'


def gallery(what: str) -> str:
    """All cards of the shapes, or of the presets."""
    return "\n\n".join(map(card, {"shapes": shapes, "presets": presets}[what]()))


def summary(name: str) -> str:
    """What a preset is, in a sentence or two: its comment, without what is set how."""
    return _told(name).partition("\n\n")[0]


def _comments(name: str) -> tuple[list[str], list[str]]:
    """The lines that a preset's file begins with, for readers, and the others."""
    lines = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    said = [line.lstrip("# ") for line in lines if line.startswith("#") and "yaml-language-server" not in line]
    return said, [line for line in lines if not line.startswith("#")]


def _content(name: str) -> str:
    return "\n".join(_comments(name)[1])


def _told(name: str) -> str:
    """A preset's comment; how its peak is set, and what its first update is, are paragraphs of their own."""
    text = " ".join(_comments(name)[0])
    text = re.sub(r"([*_<>])", r"\\\1", text)
    text = re.sub(r"(?<!\S)((?:cosched/)?(?:phase@)?scheduler[.@][^\s,;:]*[\w\]])", _code, text)
    return re.sub(r" (?=The peak:|The first update is not 0)", "\n\n", text)


def _code(match: re.Match[str]) -> str:
    return "`" + match[1].replace("\\", "") + "`"


def _shapes_in(one: Any) -> Iterator[str]:
    """The names of the shapes of a schedule and of what is inside."""
    if isinstance(one, cosched.Schedule):
        known = registry.registered()
        yield from (name for name, shape in known.items() if shape in type(one).__mro__)
        for field in fields(one):  # type: ignore[arg-type]
            yield from _shapes_in(getattr(one, field.name))
    elif isinstance(one, Mapping):
        for value in one.values():
            yield from _shapes_in(value)


def declared(one: Any, at: str = "scheduler") -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """A schedule as a config has it: where inside which shapes stand, and the values that are not the defaults."""
    lists: list[tuple[str, str]] = []

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, cosched.Schedule):
            inner = value if isinstance(value, cosched.Phase) else cosched.lasting(value, None)
            lists.append((path, inner.shape))
            found, values = declared(inner, path)
            lists.extend(found)
            return values
        if isinstance(value, Mapping):
            return {key: plain(inner, f"{path}.{key}") for key, inner in value.items()}
        if isinstance(value, Enum):
            return value.name
        return [plain(inner, path) for inner in value] if isinstance(value, (list, tuple)) else value

    values = {
        field.name: plain(getattr(one, field.name), f"{at}.{field.name}")
        for field in fields(one)
        if field.name not in ("shape", "_target_")
        and getattr(one, field.name) != (None if field.default is MISSING else field.default)
    }
    return lists, values


def overrides(name: str) -> list[str]:
    """The command line that declares a shape's example, in an app that has a scheduler."""
    lists, values = declared(example(name))
    return [
        f"scheduler={name}",
        *(f"+cosched/phase@{at}={shape}" for at, shape in lists),
        *(f"{path}={_text(value)}" for path, value in _leaves(values, "scheduler")),
    ]


def _block(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Lines of YAML, with what has no mapping inside in one line."""
    for key, value in values.items():
        if isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values()):
            yield f"{indent}{key}:"
            yield from _block(value, f"{indent}  ")
        else:
            text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=200)
            yield f"{indent}{key}: {text.removesuffix(chr(10)).removesuffix(chr(10) + '...')}"


def _leaves(values: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{at}.{key}")
        else:
            yield f"{at}.{key}", value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def markdown(docstring: str) -> str:
    """A docstring's text as Markdown: doctests and what follows ``::`` are blocks, and code has one backtick."""
    blocks = []
    for block in re.split(r"\n\n+", docstring.strip()):
        if block.startswith(">>>"):
            blocks.append(f"```pycon\n{block}\n```")
        elif block.startswith("    "):
            blocks.append(f"```text\n{inspect.cleandoc(block)}\n```")
        else:
            blocks.append(re.sub(r"::$", ":", block).replace("``", "`"))
    return "\n\n".join(blocks)
