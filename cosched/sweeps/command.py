"""The command ``cosched``, for what needs no app."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cosched
from cosched.config.editors import add_schema


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of that name; the exit status is 1 where something is wrong with what it looked at."""
    parser = argparse.ArgumentParser("cosched", description=f"{cosched.__doc__}".splitlines()[0])
    parser.add_argument("--version", action="version", version=f"cosched {cosched.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    given = parser.parse_args(arguments)
    try:
        sys.exit(given.run(given))
    except ModuleNotFoundError as error:
        sys.exit(str(error))


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
        "--output", metavar="FOLDER", type=Path, help="for the files; else FOLDER, if there is one only"
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
    output = given.output or (given.folders[0] if len(given.folders) == 1 else Path())
    output.mkdir(parents=True, exist_ok=True)
    said = {result.maximize for result in results}
    maximize = given.maximize if given.maximize is not None else said.pop() if len(said) == 1 else None
    title = (
        f"{', '.join(folder.resolve().name for folder in given.folders)}: {len(results)} job{'s' * (len(results) != 1)}"
    )
    sum_up(results, output, title, maximize)
    return int(any(result.error is not None for result in results))


COMMANDS = (add_report, add_schema)
