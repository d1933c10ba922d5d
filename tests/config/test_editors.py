"""The JSON Schema for editors, by another validator: what is shipped satisfies it, and what is wrong is marked."""

import json
import re
from dataclasses import fields

import pytest
from helpers import JOB, ROOT, Start
from pages_helpers import check

from cosched.config.editors import json_schema
from cosched.config.schemas import scheduler
from cosched.schedules import registry

pytestmark = pytest.mark.xdist_group("started")  # one server for all

PACKAGED = ROOT / "cosched/conf/scheduler.schema.json"
PRESETS = sorted((ROOT / "cosched/conf/scheduler").glob("*.yaml"))
APPS = [*sorted((ROOT / "conf/experiment").glob("*.yaml")), ROOT / "cosched/digits/conf/config.yaml"]
OPTIONS = sorted((ROOT / "cosched/digits/conf/scheduler").glob("*.yaml"))
README = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", [*PRESETS, *APPS, *OPTIONS], ids=lambda path: path.stem)
def test_what_is_shipped_satisfies_it(path):
    check(path.read_text())


@pytest.mark.parametrize("text", README)
def test_the_readme_satisfies_it(text):
    check(text)


FINE = """
scheduler: {cycle_size: "${x}", start_value: "???"}
scheduler: null
scheduler: ${other}
scheduler: {lr: {start_value: 1}, momentum: null}
scheduler: {lr: "${..other}"}
scheduler: [{start_value: 1}]
scheduler: {phases: {a: {_target_: cosched.Phase, shape: constant, value: 1, duration: 3ep}}}
scheduler: {phases: {a: {start_value: null, duration: "${..b.duration}"}}}
scheduler: {cycle_size: 2Btok, tokens_per_iteration: 1000}
scheduler: {cycle_size: 1, num_cycles: 3}
scheduler: {_target_: cosched.CosineAnnealingScheduler, warmup_duration: 2.5%}
{defaults: [{scheduler: wsd}], scheduler: {phases: {decay: {end_value: 1e-4}}}}
{defaults: [{scheduler: step_decay}], scheduler: {gamma: 0.1}}
x: 3
""".strip().splitlines()

WRONG = """
scheduler: {cycle_mul: 2}
scheduler: {cycle_size: 10e}
scheduler: {cycle_size: -3}
scheduler: {cycle_size: -3ep}
scheduler: {cycle_mult: fast}
scheduler: {event: EPOCH}
scheduler: {on_mismatch: perhaps}
scheduler: {relative: 1}
scheduler: {repeat: 0}
scheduler: cosine_annealing
scheduler: {lr: {start_valu: 1}}
scheduler: {phases: {up: {duratio: 3}}}
scheduler: {phases: {up: {_target_: cosched.Phase, shape: constant, power: 1}}}
scheduler: {_target_: cosched.CosineAnnealing, start_value: 1}
scheduler: {_target_: cosched.CosineAnnealingScheduler, gamma: 0.1}
{defaults: [{scheduler: cosine_annealing}], scheduler: {milestones: [3]}}
{defaults: [/cosched/schema/constant@_here_], start_value: 3}
""".strip().splitlines()


@pytest.mark.parametrize("text", FINE)
def test_what_is_right_is_taken(text):
    check(text)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_refused(text):
    with pytest.raises(AssertionError):
        check(text)


def test_it_is_a_schema_of_its_dialect():
    import jsonschema

    for app in True, False:
        jsonschema.Draft202012Validator.check_schema(json_schema(app))


@pytest.mark.slow
def test_the_command_prints_it_and_the_packaged_file_is_that(tmp_path):
    printed = Start(JOB.parent / "cosched", "schema", "scheduler", cwd=tmp_path).check().out
    assert printed == PACKAGED.read_text(), "cosched schema scheduler > cosched/conf/scheduler.schema.json"
    whole = json.loads(Start(JOB.parent / "cosched", "schema", cwd=tmp_path).check().out)
    assert whole["$ref"] == "#/$defs/app"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_tells_editors_of_it(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).samefile(PACKAGED)


def test_each_field_of_each_shape_is_there_with_its_meaning():
    defs = json_schema()["$defs"]
    for name in registry.names():
        node = defs[f"scheduler.{name}"]["properties"]
        for field in fields(scheduler(registry.shape(name))):
            if not field.name.startswith("_"):
                said = defs[node[field.name]["$ref"].removeprefix("#/$defs/")]
                assert said["description"] or field.name == "shape", f"{name}.{field.name}"
