"""What is said of fields that a scheduler does not have, in any app, after Hydra has said them."""

import re
import runpy
import sys

import pytest

import cosched

APP = """
import hydra
import cosched

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    pass

with cosched.hints():
    main()
"""


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """What an app prints besides its results; call it with overrides."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)

    def run(*overrides):
        monkeypatch.setattr(sys, "argv", ["app.py", *overrides])
        try:
            runpy.run_path("app.py", run_name="__main__")
        except SystemExit as stop:
            if isinstance(stop.code, str):  # Python prints it at the end of a process
                print(stop.code, file=sys.stderr)
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_a_misspelt_field_is_named_with_what_is_meant(said, mode):
    text = said(*mode, "+cosched/schema@lr=cosine_annealing", "lr.cycle_mlt=2")
    hint = text.splitlines()[-1]
    assert hint.startswith("lr.cycle_mlt is not a field of cosine_annealing: did you mean 'cycle_mult'? There are: ")
    assert "monotonic" not in hint, "that is another shape's"
    assert "phases" not in hint
    assert "Traceback" not in text


def test_the_field_of_a_phase_is_looked_for_where_the_phases_are(said):
    hints = said("+scheduler=wsd", "scheduler.end_value=0.1").splitlines()[-2:]
    assert hints[0].endswith("did you mean scheduler.phases.warmup.end_value or scheduler.phases.decay.end_value?")
    assert hints[1].endswith(
        "belongs into a file in the group scheduler: then another option takes its place as a whole"
    )
    hint = said("+scheduler=wsd", "scheduler.phases.decay.duraton=3").splitlines()[-1]
    assert hint.startswith("scheduler.phases.decay.duraton is not a field of polynomial_annealing: did you mean 'dur")


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (
            ["+scheduler=wsd", "scheduler.phases.wramup.duration=1ep"],
            "scheduler.phases has no 'wramup': did you mean 'warmup'? There are: warmup, ",
        ),
        (
            ["+scheduler@scheduler.backbone=wsd", "+scheduler@scheduler.head=sgdr", "scheduler.hed.param_group=a"],
            "scheduler has no 'hed': did you mean 'head'? There are: backbone, head",
        ),
        (["+scheduler=wsdd"], "there is no option 'wsdd' of scheduler: did you mean 'wsd'? cosched list shows all"),
        (["+scheduler=qqqq"], "there is no option 'qqqq' of scheduler: cosched list shows all"),
        (
            ["+scheduler=wsd", "+cosched/phase@scheduler.phases.decay=cosine_aneling"],
            "there is no option 'cosine_aneling' of cosched/phase: did you mean 'cosine_annealing'?",
        ),
    ],
)
@pytest.mark.parametrize("mode", [[], ["-m"], ["hydra/launcher=preview"]])
def test_a_misspelt_phase_schedule_or_option_is_named_with_what_is_meant(said, overrides, hint, mode):
    assert said(*mode, *overrides).splitlines()[-1].startswith(hint)


@pytest.mark.parametrize(
    "overrides",
    [
        ["~scheduler"],
        ["trainer.lr=1"],
        ["+trainer={}", "trainer.lr=1"],
        ["+a=1", "~a", "b=1"],
        ["+scheduler=wsd", "shceduler.end_value=1"],
        ["hydra/launcher=basci"],
    ],
)
def test_what_is_not_ours_gets_no_hint(said, overrides):
    assert not re.search("is not a field|has no|there is no option", said(*overrides))


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_null_is_refused_in_a_line_with_remedies_that_can_be_typed(said, tmp_path, mode):
    for text in said(*mode, "scheduler=null"), said(*mode, "scheduler=null,wsd"):
        assert len(text.splitlines()) == 1
    constant, without = re.search(r"Choose (scheduler=\S+ \S+), .* with (~\S+)$", text).groups()
    (tmp_path / "config.yaml").write_text("defaults: [scheduler: wsd]\n")
    (tmp_path / "app.py").write_text(APP.replace("config_path=None", "config_path='.', config_name='config'"))
    assert said(*mode, *constant.split()) == said(*mode, without) == ""
    remedy = said(*mode, "scheduler@rate=null").split("Choose ")[1]
    assert remedy.startswith("scheduler@rate=constant rate.value=0.1, ")


def test_all_options_are_told_where_an_app_has_some_of_its_own(said, tmp_path):
    (tmp_path / "conf/scheduler").mkdir(parents=True)
    (tmp_path / "conf/config.yaml").write_text("defaults: [scheduler: mine]\n")
    (tmp_path / "conf/scheduler/mine.yaml").write_text("a: 1\n")
    (tmp_path / "app.py").write_text(APP.replace("config_path=None", "config_path='conf', config_name='config'"))
    told = said("scheduler=wsdd")
    assert {"mine", "wsd", "cosine_annealing"} < {*told.split("Available options")[1].split()}
    assert told.endswith("of scheduler: did you mean 'wsd'? cosched list shows all\n")
    assert "did you mean 'mine'?" in said("scheduler=mien")


def test_a_deletion_gets_no_hint(said):
    assert said("+scheduler=wsd", "~scheduler.phases.warmup") == ""
    assert "is not a field" not in said("+scheduler=wsd", "~scheduler.event")


def test_the_remedy_for_another_checkpoint_can_be_typed(sgd):
    config = {"_target_": "cosched.ConstantScheduler", "param_name": "lr", "value": 0.5}
    state = cosched.TorchScheduler(sgd, {"rate": config}).parts["rate"].state_dict()
    other = cosched.TorchScheduler(sgd, {"rate": config | {"value": 0.25}}).parts["rate"]
    with pytest.raises(cosched.ConfigError, match="Choose: ") as refused:
        other.load_state_dict(state)
    typed = [word for word in str(refused.value).split() if "on_mismatch=" in word]
    assert typed == [f"scheduler.rate.on_mismatch={policy}" for policy in ("config", "checkpoint", "branch")]


CLASH = """
import hydra
import torch
from ignite.engine import Engine
import cosched

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    cosched.attach(Engine(lambda *_: None), cfg.scheduler, torch.optim.SGD([torch.zeros(1)], lr=0.1))

main()
"""
OWN_GROUP = {
    "config.yaml": "defaults: [scheduler: wsd]\n",
    "scheduler/wsd.yaml": "{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 5}\n",
    "scheduler/noam.yaml": "warmup: 4000\n",
    "scheduler/mine.yaml": "{_target_: my.Scheduler}\n",
}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "scheduler=wsd is an option of the app's own, which hides that of cosched: "),
        (
            [],
            "choose that one by '~scheduler' '+cosched/scheduler@scheduler=wsd', or in a defaults list by cosched",
        ),
        (["scheduler=noam"], "'~scheduler' '+cosched/scheduler@scheduler=noam'"),
        (["~scheduler", "+scheduler@scheduler.a=noam"], "+cosched/scheduler@scheduler.a=noam"),
        (["scheduler=sgdr", "scheduler.event=x"], None),
        (["scheduler=mine"], None),
        (["~scheduler", "+cosched/scheduler@scheduler=wsd", "scheduler.param_name=Ir"], None),
    ],
)
@pytest.mark.slow
def test_an_option_that_an_app_hides_is_named_where_it_was_meant(said, tmp_path, overrides, message):
    (tmp_path / "conf/scheduler").mkdir(parents=True)
    for name, text in OWN_GROUP.items():
        (tmp_path / "conf" / name).write_text(text)
    (tmp_path / "app.py").write_text(CLASH)
    text = said(*overrides)
    assert text, "the scheduler is refused"
    assert "hides" not in text if message is None else message in text
