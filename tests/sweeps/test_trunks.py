"""What a preview shows of a run that goes on from another one: what such a run really does."""

import csv
import json

import pytest
import torch
from helpers import JOB, ROOT, TINY, Start, column, history
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from cosched import LinearCyclical, TorchScheduler
from cosched.schedules import runs
from cosched.sweeps.curves import curve, evaluate
from cosched.sweeps.design import GREY, Line
from cosched.sweeps.jobfile import JobFile
from cosched.sweeps.lengths import Length
from cosched.sweeps.line import parts
from cosched.sweeps.outcomes import Outcome
from cosched.sweeps.pictures import Page, draw_curves
from cosched.sweeps.results import collect
from cosched.sweeps.sampling import sparse, whole
from cosched.sweeps.trunks import trunk

CONSTANT = {"_target_": "cosched.ConstantScheduler", "value": 0.5}
TENTHS = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 0.5, "end_value": 0, "cycle_size": "10%"}
DECAY = {
    "_target_": "cosched.PolynomialAnnealingScheduler",
    "start_value": None,
    "end_value": 0,
    "cycle_size": "100%",
    "num_cycles": 1,
}
OTHER = {"_target_": "cosched.LinearCyclicalScheduler", "start_value": 1, "end_value": 0, "cycle_size": 7}
LENGTH = 5  # iterations of an epoch


def scheduler(fields, epochs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    return TorchScheduler(optimizer, {"only": {"param_name": "lr", **fields}}, epoch_length=LENGTH, max_epochs=epochs)


def train(one, events):
    """The rates of so many iterations."""
    applied = []
    for _ in range(events):
        applied += [one.optimizer.param_groups[0]["lr"]]
        one.optimizer.step()
        one.step()
    return applied


def leave(folder, one):
    folder.mkdir(exist_ok=True)
    states = {name: bound.state_dict() for name, bound in one.parts.items()}
    (folder / "run.json").write_text(json.dumps({"run": "a", "schedulers": states}))


def previewed(fields, epochs, **resumed):
    config = OmegaConf.create({"scheduler": fields, "cosched": resumed})
    earlier, wrong, notes = trunk(config)
    curves, errors = evaluate(config, in_force=earlier and earlier.then, epochs=epochs, epoch_length=LENGTH)
    return curves, errors, [*wrong, *notes]


@pytest.mark.parametrize(
    ("before", "fields", "policy", "epochs"),
    [
        (CONSTANT, DECAY, "branch", 9),
        (TENTHS, DECAY, "branch", 9),
        (TENTHS, TENTHS, "branch", 12),
        (TENTHS, TENTHS, "checkpoint", 12),
        (TENTHS, TENTHS, "config", 12),
        (TENTHS, TENTHS, "error", 10),
        (CONSTANT, OTHER, "config", 9),
        (TENTHS, OTHER, "checkpoint", 9),
        (CONSTANT, {**OTHER, "cycle_size": 2, "event": "EPOCH_STARTED"}, "branch", 9),
    ],
)
def test_a_preview_shows_what_a_run_does_that_goes_on(tmp_path, before, fields, policy, epochs):
    fields = {**fields, "on_mismatch": policy}
    before = {**before, "event": fields.get("event", "ITERATION_STARTED")}
    first, second = scheduler(before, 10), scheduler(fields, epochs)
    applied = train(first, 6 * LENGTH)
    leave(tmp_path, first)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    applied += train(second, (epochs - 6) * LENGTH)
    (curve,), errors, _ = previewed(fields, epochs, resume_from=str(tmp_path), resume_at="6ep")
    step = LENGTH if "EPOCH" in before["event"] else 1
    assert curve.values.tolist() == applied[::step]
    assert not errors


def test_a_branch_of_a_branch_and_the_same_branch_again(tmp_path):
    fields = {**DECAY, "on_mismatch": "branch"}
    first, second = scheduler(CONSTANT, 10), scheduler(fields, 10)
    train(first, 20)
    second.load_state_dict(first.state_dict())
    train(second, 20)
    leave(tmp_path, second)
    (again,), _, _ = previewed(fields, 10, resume_from=str(tmp_path), resume_at="40it")
    assert again.schedule.at == 20, "it goes on"
    (other,), _, _ = previewed({**OTHER, "on_mismatch": "branch"}, 10, resume_from=str(tmp_path), resume_at=40)
    assert other.values[:40].tolist() == again.values[:40].tolist()
    alone = LinearCyclical(start_value=1, end_value=0, cycle_size=7)
    assert other.values[40:].tolist() == alone.values(range(10)).tolist()
    assert parts(other).startswith("branch at 40, ")


def test_a_run_that_would_be_refused_is_an_error_that_says_what_to_choose(tmp_path):
    leave(tmp_path, scheduler(CONSTANT, 10))
    curves, errors, _ = previewed(OTHER, 10, resume_from=str(tmp_path))
    assert not curves
    assert "Choose scheduler.on_mismatch=config, checkpoint or branch" in errors["scheduler"]
    _, errors, _ = previewed({**DECAY, "on_mismatch": "branch"}, 10, resume_from=str(tmp_path), resume_at="11ep")
    assert "resume_at=11ep is after the end" in errors["scheduler"]


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "there is no run.json in "), ("{", "cannot be read"), ('{"schedulers": [1]}', "cannot be read")],
)
def test_a_run_that_has_left_nothing_to_read_is_a_finding(tmp_path, text, said):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    (curve,), _, (unknown,) = previewed(OTHER, 10, resume_from=str(tmp_path))
    assert said in unknown
    assert curve.values[0] == 1
    assert trunk(OmegaConf.create({"cosched": {"resume_from": None}})) == (None, [], [])


@pytest.mark.parametrize(
    ("resumed", "at", "said"),
    [
        ({}, 50, ["goes on after 50 iterations of {}, its end"]),
        ({"resume_points": [20, 40]}, 40, ["goes on after 40 iterations of {}, its last checkpoint"]),
        ({"resume_points": []}, 50, ["{} has no checkpoint of iteration 50, nor of another one"]),
        ({"resume_points": [20, 40], "resume_at": "8ep"}, 40, []),
        (
            {"resume_points": [20, 40, 50], "resume_at": "9ep"},
            45,
            ["{} has no checkpoint of iteration 45, only of 40it, 50it, 20it"],
        ),
    ],
)
def test_a_point_that_nobody_chose_or_without_a_checkpoint_is_told(tmp_path, resumed, at, said):
    leave(tmp_path, scheduler(CONSTANT, 10))
    fields = {**DECAY, "on_mismatch": "branch"}
    (curve,), _, told = previewed(fields, 12, resume_from=str(tmp_path), **resumed)
    assert curve.schedule.at == at
    assert told == [one.format(tmp_path) for one in said]


def job(folder, scheduler):
    """The config of a job that Hydra has composed, in an app that does not say what it goes on from."""
    hydra = {"runtime": {"output_dir": str(folder)}, "job": {"name": "app", "num": 0}, "overrides": {"task": ["x=1"]}}
    return OmegaConf.create({"scheduler": {"param_name": "lr", **scheduler}, "hydra": hydra})


@pytest.mark.parametrize("start", [None, 0.5])
def test_a_report_records_the_branch_that_a_loop_begins(tmp_path, monkeypatch, start):
    fields = {**DECAY, "start_value": start, "on_mismatch": "branch"}
    file = JobFile(job(tmp_path, fields), Length(), None)
    file.save()
    monkeypatch.setattr(runs, "observers", [file.begins])
    first, second = scheduler(CONSTANT, 10), scheduler(fields, 8)
    applied = train(first, 30)
    second.load_state_dict(first.state_dict())
    applied += train(second, 10)
    file.end(value=1.0, error=None)
    ((curve,),) = (one.curves for one in collect([tmp_path]))
    assert curve.values.tolist() == applied
    assert curve.schedule.at == 30
    assert not json.loads((tmp_path / "schedule.json").read_text())["errors"]


def test_pictures_of_branches_have_one_grey_trunk_and_the_results_against_the_budget(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args: figures.append(self))
    leave(tmp_path, scheduler(CONSTANT, 10))
    lines = []
    for point, score in (("4ep", 1.0), ("8ep", 2.0)):
        for power in (1, 2):
            fields = {**DECAY, "power": power, "on_mismatch": "branch"}
            epochs = int(point.removesuffix("ep")) + 2
            (curve,), _, _ = previewed(fields, epochs, resume_from=str(tmp_path), resume_at=point)
            overrides = {"resume_at": point, "scheduler.power": str(power)}
            lines.append(Line(curve=curve, label=point, overrides=overrides, score=score * power))
    draw_curves(
        tmp_path / "a.png", lines, Page(epoch_length=LENGTH), [Outcome(one.overrides, one.score, "") for one in lines]
    )
    curves, budgets = (axes for axes in figures[0].axes if axes.get_xlabel().startswith("iteration"))
    trunks = [one for one in curves.lines if one.get_color() == GREY]
    branches = [one for one in curves.lines if one.get_color() != GREY]
    assert [max(one.get_xdata()) for one in trunks] == [19, 19, 39, 39]
    assert [(min(one.get_xdata()), max(one.get_xdata())) for one in branches] == [(19, 29)] * 2 + [(39, 49)] * 2
    assert [one.get_xydata().tolist() for one in budgets.lines] == [[[30, 1], [50, 2]], [[30, 2], [50, 4]]]
    assert {one.get_label() for one in budgets.lines} == {"power=1", "power=2"}
    assert "the run before" in [text.get_text() for text in curves.get_legend().get_texts()]


@pytest.mark.parametrize("sampled", [whole, sparse])
def test_a_long_branch_keeps_its_peaks(tmp_path, sampled):
    leave(tmp_path, scheduler(CONSTANT, 10))
    fields = {**OTHER, "end_value": 0.75, "cycle_size": 1001, "on_mismatch": "branch"}
    (curve,), _, _ = previewed(fields, 10_000, resume_from=str(tmp_path), resume_at="4ep")
    _, values, _ = sampled(curve.schedule, 50_000)
    assert (values.min(), values.max()) == (0.5, 1)
    assert sum(values == 1) == 50


@pytest.mark.slow
def test_the_experiment_branches_previewed_and_reported(tmp_path):
    conf = ["-cd", ROOT / "conf"]
    tiny = [*TINY, "trainer.checkpoint_every=45"]
    Start(JOB, *conf, "+experiment=trunk", "hydra.run.dir=trunk", *tiny, cwd=tmp_path).check()
    sweep = [*conf, "-m", "+experiment=branches", "resume_from=trunk", *tiny]
    run = Start(JOB, *sweep, "hydra.sweep.dir=prev", "hydra/launcher=preview", cwd=tmp_path).check()
    Start(JOB, *sweep, "hydra.sweep.dir=out", "resume_at=6ep,12ep", cwd=tmp_path).check()
    with (tmp_path / "prev/schedules.csv").open() as file:
        shown = list(csv.DictReader(file))
    for done, job in enumerate((0, 1, 4, 5)):
        rates = [float(row["value"]) for row in shown if row["job"] == str(job)]
        assert rates == column(history(tmp_path / f"out/{done}"), "lr")
    assert "nothing was run" in run.out
    with (tmp_path / "prev/preview.csv").open() as file, (tmp_path / "out/sweep.csv").open() as other:
        rows = list(csv.DictReader(file))
        assert [row["run"] for row in rows] == [f"{epochs} epochs x 15 iterations" for epochs in (9, 9, 12, 12, 15, 15)]
        prints = [row["fingerprint"] for row in rows]
        assert [prints[i] for i in (0, 1, 4, 5)] == [row["fingerprint"] for row in csv.DictReader(other)]
    gone = Start(JOB, *sweep, "hydra.sweep.dir=no", "hydra/launcher=preview", "resume_from=gone", cwd=tmp_path)
    assert gone.status == 1, "the start of the branches is not known"
    assert "there is no gone: what the run goes on from is not shown" in " ".join(gone.out.split())


def rounds(repeat, start):
    """A warm-up, a stable phase and a decay, 1,037 events in all, again and again."""
    phases = {
        "up": {"shape": "polynomial_annealing", "duration": 37, "start_value": start, "end_value": 1},
        "hold": {"shape": "constant", "duration": 400, "value": 1},
        "down": {"shape": "polynomial_annealing", "duration": 600, "start_value": 1, "end_value": 0.2},
    }
    phases = {name: {"_target_": "cosched.Phase", **one} for name, one in phases.items()}
    return {"_target_": "cosched.PhasesScheduler", "param_name": "lr", "repeat": repeat, "phases": phases}


@pytest.mark.parametrize(
    ("repeat", "start", "events", "said"),
    [
        (3, 0.1, 1037, "3 phases"),
        (3, 0.1, 2074 + 38, "8 phases"),
        (3, 0.1, 100_000, "9 phases"),
        (None, 0.1, 100_000, "291 phases"),
        (2, 0.1, 2_000_000, "6 phases"),
        (None, 0.1, 2_000_000, "5,787 phases"),
    ],
)
def test_phases_that_are_repeated_are_counted_each_time_and_their_peaks_are_kept(repeat, start, events, said):
    c = curve("s", rounds(repeat, start), 1, events)
    assert parts(c) == said
    assert set(sparse(c.schedule, events)[0]) == set(whole(c.schedule, events)[0])


def test_a_branch_that_begins_with_a_jump_has_no_dot_of_the_trunk_in_its_colour(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args: figures.append(self))
    leave(tmp_path, scheduler(CONSTANT, 10))
    fields = {**OTHER, "cycle_size": 30, "num_cycles": 1, "on_mismatch": "branch"}
    (curve,), _, _ = previewed(fields, 10, resume_from=str(tmp_path), resume_at="4ep")
    draw_curves(tmp_path / "a.png", [Line(curve=curve, label="")])
    trunk, branch = figures[0].axes[0].lines
    assert max(trunk.get_xdata()) == 19
    assert (min(branch.get_xdata()), branch.get_marker()) == (20, "None")
    (jumps,) = figures[0].axes[0].collections
    assert [segment.tolist() for segment in jumps.get_segments()] == [[[20, 0.5], [20, 1]]]
