"""The command ``cosched``, for what needs no app."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cosched
from cosched.config.editors import add_schema
from cosched.schedules.durations import DATA
from cosched.sweeps.text import nobody_reads


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of that name; the exit status is 1 where something is wrong with what it looked at."""
    parser = argparse.ArgumentParser("cosched", description=f"{cosched.__doc__}".splitlines()[0])
    parser.add_argument("--version", action="version", version=f"cosched {cosched.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    given = parser.parse_args(arguments)
    try:
        status = given.run(given)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        status = str(error)
    except BrokenPipeError:
        nobody_reads()
        status = 0
    sys.exit(status)


def add_report(commands: Any) -> None:
    """``cosched report FOLDER...``: what jobs have left, summed up at any time, of one sweep or of several."""
    parser = commands.add_parser(
        "report",
        help="sum up what sweeps and runs have left in their folders",
        description="Sum up what the jobs of sweeps, or single runs, have left in FOLDER, also while they run or after "
        "they were killed: the table, sweep.csv and sweep.png. The jobs must have had hydra/callbacks=schedule_report.",
    )
    parser.add_argument(
        "folders", metavar="FOLDER", nargs="+", type=Path, help="of a sweep or a run, or around several"
    )
    best = parser.add_mutually_exclusive_group()
    best.add_argument("--maximize", action="store_true", default=None, help="the greatest value is the best")
    best.add_argument("--minimize", dest="maximize", action="store_false", default=None, help="the least value is")
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, help="for the files; else FOLDER, or of several: report"
    )
    parser.add_argument(
        "--mlflow", metavar="EXPERIMENT", help="write it into MLflow's store, too: a run with one run per job under it"
    )
    parser.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int | str:
    cosched.require("cosched report", "plot", "matplotlib", "rich")
    from cosched.sweeps.results import collect
    from cosched.sweeps.summary import sum_up

    if missing := [str(folder) for folder in given.folders if not folder.is_dir()]:
        return f"there is no folder {', '.join(missing)}"
    results = collect(given.folders)
    if not results:
        return "no job has left a schedule.json there: jobs do with hydra/callbacks=schedule_report"
    output = given.output or (given.folders[0] if len(given.folders) == 1 else Path("report"))
    output.mkdir(parents=True, exist_ok=True)
    said = {result.maximize for result in results}
    maximize = given.maximize if given.maximize is not None else said.pop() if len(said) == 1 else None
    title = (
        f"{', '.join(folder.resolve().name for folder in given.folders)}: {len(results)} job{'s' * (len(results) != 1)}"
    )
    written = sum_up(results, output, title, maximize)
    if given.mlflow is not None:
        from cosched.sweeps.tracking import to_mlflow

        print(f"MLflow has it as run {to_mlflow(results, written, title, given.mlflow)} of {given.mlflow}")
    return int(any(result.error is not None for result in results))


def add_preview(commands: Any) -> None:
    """``cosched preview scheduler=wsd``, or of a config file: what schedules do, without an app."""
    parser = commands.add_parser(
        "preview",
        help="show what schedules do, without an app",
        description="Show what the schedules of a config FILE.yaml do, or those that overrides name: scheduler=wsd. "
        "Several values, as in scheduler=wsd,sgdr, are previewed beside each other.",
    )
    parser.add_argument("given", metavar="FILE.yaml|OVERRIDE", nargs="+", help="a config file first, then overrides")
    parser.add_argument("--epochs", type=int, metavar="N", help="of the run")
    parser.add_argument("--epoch-length", type=int, metavar="N", help="iterations in an epoch")
    parser.add_argument("--tokens-per-iteration", type=int, metavar="N", help="for durations as 2Btok")
    parser.add_argument("--batch-size", type=int, metavar="N", help="for durations as 500ksample")
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, default=Path("preview"), help="for tables and pictures"
    )
    parser.set_defaults(run=_preview)


def _preview(given: argparse.Namespace) -> int | str:
    cosched.require("cosched preview", "plot", "matplotlib", "rich")
    from hydra.errors import HydraException

    from cosched.sweeps.catalogue import preview

    first = Path(given.given[0])
    file = first if first.suffix in (".yaml", ".yml") and "=" not in given.given[0] else None
    if file is not None and not file.is_file():
        return f"there is no file {file}"
    length = {name: getattr(given, name) for name in ("epochs", "epoch_length", *DATA.values())}
    try:
        preview(file, given.given[file is not None :], given.output, length)
    except HydraException as error:
        return ": ".join(line for line in str(error).splitlines() if line and not line.startswith("See "))
    return 0


def add_list(commands: Any) -> None:
    """``cosched list``: the shapes and the packaged presets."""
    parser = commands.add_parser("list", help="list the shapes and the packaged presets, each with its curve")
    parser.set_defaults(run=_list)


def _list(given: argparse.Namespace) -> int:
    cosched.require("cosched list", "plot", "matplotlib", "rich")
    from cosched.sweeps.catalogue import show_list

    show_list()
    return 0


COMMANDS = (add_preview, add_list, add_report, add_schema)
