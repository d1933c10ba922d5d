"""What ``cosched preview`` and ``cosched list`` show: schedules without an app around them, composed by Hydra."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from functools import partial
from itertools import product
from pathlib import Path

from hydra import compose, initialize, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

import cosched
from cosched.config.schemas import scheduler
from cosched.schedules import registry
from cosched.sweeps.curves import evaluate, over
from cosched.sweeps.line import sparkline
from cosched.sweeps.preview import Preview
from cosched.sweeps.screen import Screen
from cosched.sweeps.text import plain

GROUP = "scheduler"
EXAMPLE: dict[str, float | str] = {"start_value": 1.0, "end_value": 0.1, "value": 1.0}
EXAMPLE |= {"cycle_size": "25%", "every": "25%", "timescale": "5%", "gamma": 0.5}
LINE = 16  # letters of a curve in the list


def preview(file: Path | None, overrides: Sequence[str], output: Path, length: Mapping[str, int | None]) -> None:
    """Preview the schedules of a config file with its ``overrides``, or of those alone, once per choice among them.

    ``file`` is what Hydra would compose for an app, or an option for one: ``conf/scheduler/mine.yaml``. ``length`` is
    that of the run, as for ``hydra/launcher=preview``.

    Raises:
        SystemExit: one of the schedules is not valid.
        HydraException: the overrides cannot be read.
    """
    folder, name = (None, None) if file is None else (file.absolute().parent, file.stem)
    if folder is not None and folder.name == GROUP:
        overrides, folder, name = [f"{GROUP}={name}", *overrides], folder.parent, None
    given = [f"hydra.launcher.{key}={value}" for key, value in length.items() if value is not None]
    ours = ["hydra/launcher=preview", *given, f"hydra.sweep.dir='{output}'", "hydra.job.name=''"]
    with _hydra(folder):
        choices = [_choices(one, name is None) for one in overrides]
        shown = Preview(compose(overrides=ours, return_hydra_config=True), "say it with --epochs and --epoch-length")
        jobs = list(product(*choices))
        for number, chosen in enumerate(jobs):
            shown.compose(number, [one.lstrip("+") for one in chosen], partial(_composed, name, [*chosen, *ours]))
        shown.show(jobs)


def _composed(name: str | None, overrides: Sequence[str]) -> DictConfig:
    return compose(name, overrides=list(overrides), return_hydra_config=True)


def _choices(override: str, alone: bool) -> list[str]:
    """What an override with several values, ``scheduler=wsd,sgdr``, chooses from; ``alone``: no config is there yet."""
    (parsed,) = OverridesParser.create().parse_overrides([override])
    found = [override]
    if parsed.is_sweep_override():
        key = override.partition("=")[0]
        found = [f"{key}={value}" for value in parsed.sweep_string_iterator()]
    group = re.match(rf"({GROUP}|cosched/scheduler)(@[\w.]+)?=", override)
    return [f"+{one}" if alone and group else one for one in found]


@contextmanager
def _hydra(folder: Path | None) -> Iterator[None]:
    place = (
        initialize(config_path=None, version_base="1.3")
        if folder is None
        else initialize_config_dir(str(folder), version_base="1.3")
    )
    with place:
        yield


def show_list() -> None:
    """Print one line per shape and per packaged preset: its name, its curve and what it is."""
    shapes, presets = list(_shapes()), list(_presets())
    width = max(len(name) for name, *_ in [*shapes, *presets])
    console = Screen("").console
    for title, rows in (("Shapes, whose numbers are yours to set:", shapes), ("Presets:", presets)):
        console.print(title, style="bold", markup=False)
        for name, drawn, text in rows:
            line = plain(f"  {name:<{width}}  {drawn:<{LINE}}  {text}")
            console.print(line if len(line) <= console.width else f"{line[: console.width - 1]}…", markup=False)
    console.print("Choose one with scheduler=NAME; cosched preview scheduler=NAME shows more of it.", markup=False)


def _shapes() -> Iterator[tuple[str, str, str]]:
    for name in registry.names():
        shape = registry.shape(name)
        # Those with a default of null, too: a step decay needs one of two.
        given = {
            f.name: EXAMPLE.get(f.name) for f in fields(shape) if f.default in (MISSING, None) or f.name in EXAMPLE
        }
        drawn = ""
        with suppress(TypeError, ValueError):  # made of others, or with a field that has no example
            declared = scheduler(shape)(**given)
            drawn = sparkline(over(GROUP, declared, [], 10, 100), LINE)
        yield name, drawn, (inspect.getdoc(shape) or "").partition("\n")[0].replace("`", "")


def _presets() -> Iterator[tuple[str, str, str]]:
    with _hydra(None):
        for file in sorted((Path(str(cosched.__file__)).parent / "conf" / GROUP).glob("*.yaml")):
            curves, _ = evaluate(compose(overrides=[f"+{GROUP}={file.stem}"]), 10, 100)
            comments = [line for line in file.read_text("utf-8").splitlines() if re.match("# (?!yaml-)", line)]
            yield file.stem, sparkline(curves[0], LINE) if curves else "", comments[0][2:] if comments else ""
