"""What ``cosched preview`` and ``cosched list`` show: schedules without an app around them, composed by Hydra."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import MISSING, fields
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra import compose, initialize, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

import cosched
from cosched.config.schemas import ConfigError, scheduler
from cosched.schedules import registry
from cosched.sweeps.curves import evaluate, over
from cosched.sweeps.line import sparkline
from cosched.sweeps.preview import Preview
from cosched.sweeps.screen import Screen
from cosched.sweeps.text import plain

GROUP = "scheduler"
PRESETS = Path(str(cosched.__file__)).parent / "conf" / GROUP
EXAMPLE: dict[str, float | str] = {"start_value": 1.0, "end_value": 0.1, "value": 1.0}
EXAMPLE |= {"cycle_size": "25%", "every": "25%", "timescale": "5%", "gamma": 0.5}
LINE = 16  # letters of a curve in the list


def preview(file: Path | None, overrides: Sequence[str], output: Path, length: Mapping[str, int | None]) -> None:
    """Preview the schedules of a config file with its ``overrides``, or of those alone, once per choice among them.

    ``file`` is what Hydra would compose for an app, or an option for one: ``conf/scheduler/mine.yaml``. ``length`` is
    that of the run, as for ``hydra/launcher=preview``.

    Raises:
        SystemExit: one of the schedules is not valid.
        ConfigError: there is none, or an override is not one.
        HydraException: the overrides cannot be read.
    """
    for one in overrides:
        if not re.match("~|[^=]+=", one):
            raise ConfigError(
                f"{one} is neither a config file, which comes first, nor KEY=VALUE: did you mean {GROUP}={one}?"
            )
    given = [f"hydra.launcher.{key}={value}" for key, value in length.items() if value is not None]
    ours = ["hydra/launcher=preview", *given, f"hydra.sweep.dir='{output}'", "hydra.job.name=''"]
    with ExitStack() as stack:
        folder, name = (None, None) if file is None else (file.absolute().parent, file.stem)
        if file is not None and folder is not None and (folder.name == GROUP or _is_option(file)):
            overrides, name = [f"{GROUP}={name}", *overrides], None
            folder = folder.parent if folder.name == GROUP else stack.enter_context(_with_group(folder))
        stack.enter_context(_hydra(folder))
        choices = [_choices(one, name is None) for one in overrides]
        shown = Preview(compose(overrides=ours, return_hydra_config=True), _option)
        jobs = list(product(*choices))
        for number, chosen in enumerate(jobs):
            shown.compose(number, [one.lstrip("+") for one in chosen], partial(_composed, name, [*chosen, *ours]))
        shown.show(jobs)
    if not any(job.curves for job in shown.jobs):
        raise ConfigError(
            f"{file or ' '.join(overrides)} declares no schedule: choose one, as in cosched preview {GROUP}=wsd, or in "
            f"a config file as in 'defaults: [{GROUP}: wsd, _self_]'"
        )


def _option(name: str) -> str:
    """How ``cosched preview`` is told a part of the run's length."""
    return f"--{name.replace('_', '-')}=..."


def _is_option(file: Path) -> bool:
    """Whether a config file is an option for our group, wherever it stands: it is made of one, or is one."""
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(file))
    except Exception:  # it is told where the file is composed
        return False
    if not isinstance(config, dict):
        return False
    names = [one for one in config.get("defaults") or () if isinstance(one, str)]
    others = [one for one in names if not (file.parent / f"{one}.yaml").is_file()]
    return str(config.get("_target_")).startswith("cosched.") or any(map(_ours, others))


def _ours(name: str) -> bool:
    """Whether an item of a defaults list in our group is an option of ours."""
    schema = re.fullmatch(r"/cosched/\w+/\w+@_here_", name)
    return bool(schema) or registry.known(name) or (PRESETS / f"{name}.yaml").is_file()


@contextmanager
def _with_group(folder: Path) -> Iterator[Path]:
    """A folder in which ``folder`` is that of our group."""
    with TemporaryDirectory() as place:
        (Path(place) / GROUP).symlink_to(folder, target_is_directory=True)
        yield Path(place)


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
        for file in sorted(PRESETS.glob("*.yaml")):
            curves, _ = evaluate(compose(overrides=[f"+{GROUP}={file.stem}"]), 10, 100)
            comments = [line for line in file.read_text("utf-8").splitlines() if re.match("# (?!yaml-)", line)]
            yield file.stem, sparkline(curves[0], LINE) if curves else "", comments[0][2:] if comments else ""
