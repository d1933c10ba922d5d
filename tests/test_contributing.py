"""CONTRIBUTING.md, executed: our own shape is the one that it shows, and the package of a stranger works everywhere."""

import csv
import json
import pickle
import re
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, Run, Start

from cosched.schedules import registry

pytestmark = pytest.mark.xdist_group("started")  # one server for all

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
OURS, MODULE, USE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
[PROJECT] = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)

APP = """
import warnings
import hydra
import torch
from ignite.engine import Engine
import cosched

warnings.simplefilter("ignore")  # what torch has deprecated

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    rates = []
    engine = Engine(lambda engine, batch: rates.append(optimizer.param_groups[0]["lr"]))
    bound = cosched.attach(engine, cfg.scheduler, optimizer)
    path = cfg.get("path")
    if cfg.get("resume"):
        state = torch.load(path, weights_only=True)
        bound.load_state_dict(state["scheduler"])
        engine.load_state_dict(state["engine"])
    engine.run(range(5), max_epochs=cfg.get("epochs", 4))
    if path and not cfg.get("resume"):
        torch.save({"scheduler": bound.state_dict(), "engine": dict(engine.state_dict())}, path)
    print("rates:", rates)
    return rates[-1]

main()
"""
FIELDS = ["+scheduler=square_annealing", "scheduler.start_value=1", "scheduler.end_value=0", "scheduler.cycle_size=10"]


def square(step, cycle_size=10):
    return 1 - (step % cycle_size / cycle_size) ** 2


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder in which the stranger's package is installed, built by the tool that builds ours."""
    source = tmp_path_factory.mktemp("source")
    (source / "my_shapes.py").write_text(MODULE)
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    (source / "pyproject.toml").write_text(build + PROJECT + '[tool.hatch.build]\ninclude = ["my_shapes.py"]\n')
    Run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", source, cwd=source).check()
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index", "--quiet"]
    Run(*pip, "--target", folder, next(source.glob("*.whl")), cwd=source).check()
    return folder


@pytest.fixture
def app(tmp_path, package):
    """A stranger's app in that environment; call it with overrides."""
    (tmp_path / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(package)!r})\n{APP}")
    return lambda *arguments: Start(tmp_path / "app.py", *arguments, cwd=tmp_path)


def rates(run):
    return json.loads(re.search(r"rates: (.*)", run.check().out)[1])


def test_the_shape_that_is_shown_is_ours():
    sources = [path.read_text() for path in (ROOT / "cosched/schedules").glob("*.py")]
    assert sum(OURS.split('"""')[0] in source and OURS.split('"""')[2] in source for source in sources) == 1


@pytest.mark.slow
def test_it_is_an_option_with_typed_fields(app):
    config = yaml.safe_load(app(*FIELDS, "--cfg", "job").check().out)["scheduler"]
    assert config["_target_"] == "cosched.RegisteredScheduler"
    assert config["shape"] == "square_annealing"
    assert config["cycle_mult"] == 1.0
    misspelt = app(*FIELDS, "scheduler.cycle_mlt=2")
    assert misspelt.status == 1
    assert "Key 'cycle_mlt' not in 'SquareAnnealingConfig'" in misspelt.err
    added = app(*FIELDS, "+scheduler.cycle_mlt=2")
    assert added.status == 1
    assert "has no field 'cycle_mlt': did you mean 'cycle_mult'" in added.err
    assert "Traceback" not in added.err


@pytest.mark.slow
def test_it_drives_an_engine_and_continues_in_another_process(app):
    whole = rates(app(*FIELDS, "+epochs=4"))
    assert whole == pytest.approx([square(i) for i in range(20)], abs=1e-15)
    head = rates(app(*FIELDS, "+epochs=2", "+path=state.pt"))
    tail = rates(app(*FIELDS, "+epochs=4", "+path=state.pt", "+resume=true"))
    assert head + tail == whole
    other = app(*FIELDS, "+epochs=4", "+path=state.pt", "+resume=true", "scheduler.cycle_mult=2")
    assert other.status == 1
    assert "cycle_mult is 1.0 there and 2.0 here" in other.err


@pytest.mark.slow
def test_a_checkpoint_of_it_names_the_remedy_where_the_package_is_missing(app, tmp_path):
    app(*FIELDS, "+path=state.pt").check()
    (tmp_path / "app.py").write_text(APP)
    ours = ["+scheduler=cosine_annealing", *FIELDS[1:], "+path=state.pt", "+resume=true"]
    refused = app(*ours, "+epochs=5")
    assert refused.status == 1
    assert "'square_annealing' is not a registered shape" in refused.err
    assert "needs that package, installed with an entry point in the group 'cosched.shapes'" in refused.err


@pytest.mark.slow
def test_it_is_swept_and_previewed(app, tmp_path):
    sweep = ["-m", *FIELDS, "scheduler.cycle_size=4,5,5", "hydra.sweep.dir=out"]
    shown = app(*sweep, "hydra/launcher=preview").check().out
    assert "does the same as job 1" in shown
    with (tmp_path / "out/schedules.csv").open() as file:
        values = [float(row["value"]) for row in csv.DictReader(file) if row["job"] == "0"]
    assert values[:5] == pytest.approx([square(i, 4) for i in range(5)], abs=1e-15)
    assert [rates_[-1] for rates_ in map(json.loads, re.findall(r"rates: (.*)", app(*sweep).check().out))] == (
        pytest.approx([square(19, 4), square(19, 5), square(19, 5)], abs=1e-15)
    )


@pytest.mark.slow
def test_other_processes_know_it(app, tmp_path, package, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(package))
    sweep = ["-m", *FIELDS, "scheduler.cycle_size=4,5", "hydra.sweep.dir=out", "hydra/launcher=joblib"]
    Run(sys.executable, tmp_path / "app.py", *sweep, "hydra/callbacks=schedule_report", cwd=tmp_path).check()
    with (tmp_path / "out/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == pytest.approx([square(19, 4), square(19, 5)], abs=1e-15)


def test_it_is_a_phase_from_the_command_line(app):
    phases = [
        "+scheduler=phases",
        "+cosched/phase@scheduler.phases.up=constant",
        "scheduler.phases.up.value=0.5",
        "scheduler.phases.up.duration=1ep",
        "+cosched/phase@scheduler.phases.tail=square_annealing",
        "scheduler.phases.tail.start_value=1",
        "scheduler.phases.tail.end_value=0",
    ]
    assert rates(app(*phases)) == pytest.approx([0.5] * 5 + [square(i, 15) for i in range(15)], abs=1e-15)


def test_in_python_it_is_a_schedule_like_ours(package, monkeypatch):
    monkeypatch.syspath_prepend(package)
    monkeypatch.delitem(sys.modules, "my_shapes", raising=False)  # a page's
    monkeypatch.setattr(registry, "_shapes", registry.registered())  # forgotten afterwards
    names = {"__name__": "app"}
    exec(USE, names)
    assert names["schedule"].values([0, 5, 15, 20]).tolist() == [1, 0.75, 1, 0.75]
    assert names["twice"](35) == 0.75
    assert names["scheduler"].get_param() == 1
    assert pickle.loads(pickle.dumps(names["twice"])) == names["twice"]
    assert Path(sys.modules.pop("my_shapes").__file__).parent == package
