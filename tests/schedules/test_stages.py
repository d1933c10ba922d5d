"""Stages: one value after another, and a table of them for several parameters, whose durations are checked."""

import pytest
import torch
from helpers import column, composed, history, train_tiny
from ignite.engine import Engine
from omegaconf import OmegaConf

import cosched
from cosched import ConfigError, Stages, TorchScheduler, lasting
from cosched.sweeps.curves import evaluate


def stages(*durations, **fields):
    return Stages(**{"durations": list(durations), "levels": [10**i for i in range(len(durations))], **fields})


def test_the_rates_are_those_of_torchs_multi_step():
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0) for _ in range(2))
    oracle = torch.optim.lr_scheduler.MultiStepLR(theirs, [3, 10], gamma=0.5)
    scheduler = TorchScheduler(ours, Stages(durations=[3, 7, None], levels=[1, 0.5, 0.25]))
    for _ in range(15):
        assert scheduler.get_last_lr() == oracle.get_last_lr()
        for one in (ours, theirs, scheduler, oracle):
            one.step()


def test_a_stage_of_no_events_is_left_out_and_the_last_level_holds():
    assert stages(2, 0, 1).values(range(6)).tolist() == [1, 1, 100, 100, 100, 100]
    assert stages(2, 1, 0).values(range(6)).tolist() == [1, 1, 10, 10, 10, 10]
    assert stages(0, 0, None)(7) == 100
    assert stages(2, 3, None).restarts(9).tolist() == [2, 5]
    assert stages(2, 3, None).bounds(range(1, 4)) == (1, 10)


@pytest.mark.parametrize(
    ("durations", "run", "total"),
    [
        (["5ep", "3ep"], {"epoch_length": 10, "max_epochs": 9}, "80 events together, and the run has 90"),
        ([50, 41], {"max_iters": 90}, "91 events together, and the run has 90"),
        (["50%", "20%", "20%"], {"max_iters": 100}, "90 events together, and the run has 100"),
        (["1ktok", "2ktok"], {"max_iters": 100, "tokens_per_iteration": 40}, "75 events together, and the run has 100"),
    ],
)
def test_durations_that_are_not_those_of_the_run_are_refused(durations, run, total):
    with pytest.raises(
        ValueError, match=rf"durations=.* are {total}: .* leave the last one null .* or give whole=false"
    ):
        stages(*durations).resolve(**run)
    kept = stages(*durations, whole=False).resolve(**run)
    assert sum(kept.durations) == int(total.split()[0])
    assert stages(*durations[:-1], None).resolve(**run).durations[-1] is None


def test_parts_of_events_are_left_to_the_last_stage():
    resolved = stages("33.3%", "33.3%", "33.4%").resolve(max_iters=100)
    assert resolved.values(range(100)).tolist() == [1] * 33 + [10] * 33 + [100] * 34
    assert resolved.resolve(max_iters=50) == resolved, "nothing is left to resolve, nor to check"
    assert stages(3, 4).resolve().durations == (3, 4), "where the end of the run is not known, nothing can be checked"


def test_within_a_phase_they_are_those_of_the_phase():
    phases = {"warm": lasting(cosched.Constant(value=0), "20%"), "then": lasting(stages("40%", "40%"), None)}
    resolved = cosched.Phases(phases=phases).resolve(max_iters=10)
    assert resolved.values(range(10)).tolist() == [0] * 2 + [1] * 4 + [10] * 4
    with pytest.raises(ValueError, match=r"phases\.then\.durations=.* are 10 events together, and the run has 8"):
        cosched.Phases(phases={**phases, "then": stages("50%", "50%")}).resolve(max_iters=10)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        (
            {"durations": [1, 2]},
            ValueError,
            r"durations=\[1, 2\] and levels=\[1\] must be as many, .* they are 2 and 1",
        ),
        ({"durations": []}, TypeError, r"durations=\[\] must be a list"),
        ({"durations": [None], "levels": 3}, TypeError, "levels=3 must be a list"),
        ({"durations": [None, 1], "levels": [1, 2]}, TypeError, r"durations\[0\]=None is not a number of events"),
        ({"durations": ["3e"]}, ValueError, r"durations\[0\]='3e' is not a duration"),
        ({"levels": ["a"]}, TypeError, r"levels\[0\]='a' is not a number"),
        ({"levels": [float("nan")]}, ValueError, r"levels\[0\]=nan is not finite"),
    ],
)
def test_mistakes_in_a_table_are_named(fields, error, message):
    with pytest.raises(error, match=message):
        Stages(**{"durations": [None], "levels": [1], **fields})


TABLE = """
stages: {durations: [2ep, 50%, null], lr: [0.1, 0.01, 0.001], batch: [16, 32, 64], length: [128, 256, 512],
         loss: [1, 0.5, 0]}
scheduler:
  lr: {_target_: cosched.StagesScheduler, param_name: lr, durations: "${stages.durations}", levels: "${stages.lr}"}
  batch: {_target_: cosched.StagesScheduler, param_name: engine.state.batch_size, durations: "${stages.durations}",
          levels: "${stages.batch}", initial_value: 16}
  length: {_target_: cosched.StagesScheduler, param_name: engine.state.length, durations: "${stages.durations}",
           levels: "${stages.length}"}
  loss: {_target_: cosched.StagesScheduler, param_name: engine.state.loss, durations: "${stages.durations}",
         levels: "${stages.loss}"}
"""


def test_one_table_is_for_several_parameters():
    optimizer, seen = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1), []
    engine = Engine(
        lambda e, _: seen.append((optimizer.param_groups[0]["lr"], e.state.batch_size, e.state.length, e.state.loss))
    )
    engine.state.length, engine.state.loss = 128, 1.0
    cosched.attach(engine, OmegaConf.create(TABLE).scheduler, optimizer)
    engine.run(range(5), max_epochs=8)
    assert seen == [(0.1, 16, 128, 1)] * 10 + [(0.01, 32, 256, 0.5)] * 20 + [(0.001, 64, 512, 0)] * 10
    assert {tuple(map(type, row)) for row in seen} == {(float, int, int, float)}, "what counts or indexes stays whole"


def test_the_experiment_is_checked_against_the_run():
    curves, errors = evaluate(composed("+experiment=stages"), epochs=12, epoch_length=15)
    assert errors == {}
    assert [len({*curve.values.tolist()}) for curve in curves] == [3, 3, 3]
    _, errors = evaluate(composed("+experiment=stages"), epochs=11, epoch_length=15)
    assert [*errors] == ["scheduler.lr", "scheduler.decay", "scheduler.ema"]
    assert "are 180 events together, and the run has 165" in errors["scheduler.ema"]


@pytest.mark.slow
def test_the_experiment_trains(tmp_path):
    with pytest.raises(ConfigError, match="are 180 events together, and the run has 165"):
        train_tiny(tmp_path / "short", "+experiment=stages", "trainer.max_epochs=11")
    train_tiny(tmp_path / "whole", "+experiment=stages")
    rows = history(tmp_path / "whole")
    table = {"lr": [0.02, 0.1, 0.01], "decay": [0, 5e-4, 1e-4], "ema": [0.5, 0.2, 0.02]}
    for name, (first, second, third) in table.items():
        assert column(rows, name) == [first] * 30 + [second] * 90 + [third] * 60
