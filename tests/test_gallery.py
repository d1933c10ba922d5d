"""The gallery's cards: one for everything that is there, and what they say is so."""

import math
import re
import shlex
from dataclasses import dataclass, field

import cards
import numpy as np
import pytest
import tables
from helpers import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from pages_helpers import blocks, make

import cosched
from cosched.schedules import registry

PRESETS = sorted(path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml"))


@pytest.fixture(scope="module")
def made():
    """The text of each card."""
    return {name: cards.card(name) for name in [*registry.names(), *PRESETS]}


def said(card):
    """The values that a card tells, by event."""
    table = {key: row for key, *row in (line.strip("| ").split(" | ") for line in card.splitlines() if " | " in line)}
    return dict(zip(map(int, table["event"]), map(float, table["value"]), strict=True))


@pytest.mark.slow
def test_everything_has_its_card(made):
    pages = {what: cards.gallery(what) for what in ("shapes", "presets")}
    assert re.findall(r"^### (\w+)$", pages["shapes"], flags=re.MULTILINE) == registry.names()
    assert re.findall(r"^### (\w+)$", pages["presets"], flags=re.MULTILINE) == PRESETS
    assert all(f"_generated/{name}.svg" in card and len(said(card)) == 5 for name, card in made.items())


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.slow
def test_the_command_and_the_yaml_of_a_shape_declare_what_its_card_shows(name, made, tmp_path):
    card = {one.language: one.text for one in blocks(made[name])}
    _, _, *overrides = shlex.split(card["console"].replace("\\\n", " "))
    first, *others = overrides
    OverridesParser.create().parse_overrides(overrides)
    resolved = cards.compose_scheduler(f"+{first}", *others).resolve(**cards.RUN)
    for event, value in said(made[name]).items():
        assert float(f"{resolved(event):.6g}") == value
    config = make(tmp_path, card["yaml"])
    assert config["scheduler"].resolve(**cards.RUN) == resolved


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.slow
def test_the_yaml_of_a_preset_is_its_file_and_its_values_are_those_of_the_file(name, made):
    file = (ROOT / f"cosched/conf/scheduler/{name}.yaml").read_text()
    [yaml] = [one.text for one in blocks(made[name]) if one.language == "yaml"]
    assert file.endswith(yaml)
    assert "yaml-language-server" not in made[name]
    resolved = cards.compose_scheduler(f"+scheduler={name}").resolve(**cards.RUN)
    assert all(float(f"{resolved(event):.6g}") == value for event, value in said(made[name]).items())
    assert cards.summary(name) in made[name]


def test_a_shape_that_is_registered_has_its_card_and_its_fields_without_being_told(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_shapes", registry.registered())

    @cosched.register("bouncing")
    @dataclass(kw_only=True)
    class Bouncing(cosched.CyclicalSchedule):
        """Bounces: ``remaining(x) = abs(cos(height * x))``.

        Attributes:
            height: how high it bounces.
        """

        height: float = field(default=5.0)

        def _remaining(self, x):
            return np.abs(np.cos(self.height * x))

    page = cards.gallery("shapes")
    assert "### bouncing" in page
    assert "`remaining(x) = abs(cos(height * x))`" in page
    size = round(0.34 * 3000)
    assert said(cards.card("bouncing"))[750] == pytest.approx(0.001 + 0.099 * abs(math.cos(5 * 750 / size)), rel=1e-5)
    assert "| `height` | number | `5.0` | how high it bounces. |" in tables.config("shapes")


def test_pictures_are_drawn_without_a_ground(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "shapes", lambda: ["cosine_annealing"])
    monkeypatch.setattr(cards, "presets", lambda: ["sgdr"])
    cards.draw(tmp_path / "pictures")
    files = sorted((tmp_path / "pictures").rglob("*.svg"))
    assert [file.name for file in files] == ["cosine_annealing.svg", "sgdr.svg"] * 2
    assert all("http://www.w3.org/2000/svg" in file.read_text() for file in files)
