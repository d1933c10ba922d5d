"""The reference has everything that there is: names, fields, options, keys, commands, files."""

import re
from dataclasses import fields
from fnmatch import fnmatch
from importlib.util import find_spec

import pytest
import tables
import yaml
from helpers import JOB, ROOT, TINY, Start

import cosched
from cosched.config.schemas import Binding, scheduler
from cosched.schedules import registry
from cosched.schedules.durations import parse
from cosched.sweeps.command import COMMANDS

REFERENCE = ROOT / "docs/reference"


def page(name):
    """A page, with what is generated in it."""
    makers = {"config": tables.config, "command": tables.command, "python": tables.python}
    text = (REFERENCE / f"{name}.md").read_text()
    return re.sub(r"```\{generated\} (\w+) (\w+)\n```", lambda match: makers[match[1]](match[2]), text)


def test_configs_have_null():
    assert re.findall(r".*\bNone\b.*", page("config")) == []


def without_meaning(text):
    """The rows of tables in which the last cell is empty."""
    return re.findall(r"^\|.*\|  \|$", text, flags=re.MULTILINE)


def test_each_public_name_is_there_once():
    named = re.findall(r"^\.\. [\w:]+:: cosched\.(\w+)$", page("python"), flags=re.MULTILINE)
    assert sorted(named) == cosched.__all__


@pytest.mark.parametrize("name", ["LinearCyclical", "LinearCyclicalScheduler", "PhasesScheduler", "Schedule"])
def test_a_class_says_of_its_own_fields_only_and_where_the_others_are(name):
    text = tables.brief(getattr(cosched, name))
    assert ("    cycle_mult:" in text) is False
    assert ("see `cosched." in text) is (name != "Schedule")


def test_each_option_has_its_fields_and_what_all_have_is_there_once():
    text = page("config")
    of_all = {f.name for f in fields(Binding)}
    cyclical = {f.name for f in fields(cosched.CyclicalSchedule)}
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, flags=re.MULTILINE | re.DOTALL))
    assert sections.keys() == {*registry.names()}
    for name in registry.names():
        shape = registry.shape(name)
        own = {f.name for f in fields(scheduler(shape)) if f.name[0] != "_" and f.name != "shape"} - of_all
        shared = cyclical if issubclass(shape, cosched.CyclicalSchedule) else set()
        assert {*re.findall(r"^\| `(\w+)`", sections[name], flags=re.MULTILINE)} == own - shared
    schedulers = text.partition("\n## Phases\n")[0]
    assert {one for one in of_all if schedulers.count(f"| `{one}` |") != 1} == set()
    assert without_meaning(text) == []


def test_each_unit_of_a_duration_is_there():
    table = page("config").partition("## Durations")[2].partition("\n## ")[0]
    durations = re.findall(r"^\| `(\d\S*)` \|", table, flags=re.MULTILINE)
    assert {parse("x", one)[2] for one in durations if not one.isdigit()} == {"ep", "it", "%", "tok", "sample"}
    assert all(f"`{prefix}`" in table for prefix in "kMBGT")


def test_each_key_of_the_main_job_and_each_command_is_there():
    text = page("command")
    config = yaml.safe_load((ROOT / "cosched/digits/conf/config.yaml").read_text())
    keys = set()
    for key, value in config.items():
        keys |= {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
    keys = {key for key in keys if not key.startswith(("defaults", "hydra"))}
    assert [key for key in sorted(keys) if f"| `{key}` |" not in text] == []
    assert without_meaning(text) == []
    assert text.count("### cosched ") == len(COMMANDS)
    assert "usage: cosched report" in text


def listed(heading):
    """The names of files in a table of the page."""
    text = (REFERENCE / "files.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(.*?)`", row)}


def written(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"out.txt", "err.txt"}


def compare(found, names, absent=()):
    """Each file has its entry, and each entry a file, but for those of which there is none here."""
    assert [one for one in sorted(found) if not any(fnmatch(one, name) for name in names)] == []
    assert {one for one in names if not any(fnmatch(name, one) for name in found)} == {*absent}


@pytest.mark.slow
def test_what_a_run_a_sweep_and_a_preview_write(tmp_path):
    plotly = find_spec("plotly")
    tiny = [*TINY, "trainer.max_epochs=2"]
    Start(JOB, "-m", "hydra.sweep.dir=sweep", "snapshots=true,false", *tiny, cwd=tmp_path).check()
    sweep = listed("A sweep with the report")
    job = listed("A run of the main job") | listed("A job with the report")
    compare(written(tmp_path / "sweep/0"), job, ["run.lock"])
    found = {one for one in written(tmp_path / "sweep") if "/" not in one}
    compare(found, sweep, () if plotly else ["sweep.html"])
    preview = ["hydra/launcher=preview", "scheduler.cycle_mult=1,2", *TINY]
    Start(JOB, "-m", "hydra.sweep.dir=preview", *preview, cwd=tmp_path).check()
    compare(written(tmp_path / "preview"), listed("A preview"), () if plotly else ["schedules.html"])
    header = (tmp_path / "sweep/0/history.csv").read_text().splitlines()[0]
    text = (REFERENCE / "files.md").read_text()
    assert [one for one in header.split(",") if f"`{one}`" not in text] == ["lr"]
