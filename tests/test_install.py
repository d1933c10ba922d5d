"""What is said where an extra is not installed, and that its name is the distribution's."""

import re
import sys

import pytest
from helpers import ROOT, Start

import cosched

APP = """
import sys

sys.modules.update(matplotlib=None, rich=None)

import hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    print("ran")


main()
"""
PROJECT = (ROOT / "pyproject.toml").read_text()
[NAME] = re.findall(r'^name = "(.*)"', PROJECT, flags=re.MULTILINE)
EXTRAS = re.findall(r"^(\w+) = \[", PROJECT.partition("optional-dependencies]")[2], flags=re.MULTILINE)


@pytest.mark.xdist_group("started")  # one server for all
@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("hydra/launcher=preview", ["-m", "hydra/launcher=preview"]),
        ("hydra/callbacks=schedule_report", ["-m", "hydra/callbacks=schedule_report"]),
        ("hydra/callbacks=schedule_report", ["hydra/callbacks=schedule_report"]),
    ],
)
def test_an_option_names_the_extra_that_it_needs(option, arguments, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    run = Start(tmp_path / "app.py", *arguments, "+scheduler=sgdr", "hydra.sweep.dir=out", cwd=tmp_path)
    assert run.status == 1
    remedy = f"pip install '{NAME}[plot]', or from a clone: pip install '.[plot]'"
    assert f"{option} needs matplotlib, rich: {remedy}" in run.err
    assert "Traceback" not in run.err
    assert "ran" not in run.out


def test_what_is_there_is_not_asked_for():
    cosched.require("this", "plot", "hydra", "sys")
    with pytest.raises(ModuleNotFoundError, match=r"^this needs no_such, nor_such: pip install"):
        cosched.require("this", "plot", "hydra", "no_such", "nor_such")
    assert "no_such" not in sys.modules


def test_every_extra_that_is_named_exists():
    sources = [path for name in ("cosched", "hydra_plugins", "conf", "docs") for path in (ROOT / name).rglob("*.*")]
    sources = [path for path in sources if path.suffix in (".md", ".py", ".yaml")]
    texts = [path.read_text() for path in [ROOT / "README.md", ROOT / "Makefile", *sources]]
    named = [hint for text in texts for hint in re.findall(r"pip install '?(\S*?)\[([\w,]+)\]", text)]
    asked = [("", extra) for text in texts for extra in re.findall(r'\brequire\([^,]+, "(\w+)"', text)]
    assert {package for package, _ in named} <= {"", ".", NAME}
    assert asked
    assert {extra for _, several in named + asked for extra in several.split(",")} <= set(EXTRAS)
