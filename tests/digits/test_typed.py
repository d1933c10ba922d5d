"""The command that continues a run, as a shell and Hydra read it; and the titles of pictures."""

import shlex

import pytest
from helpers import JOB, TINY, Start, history
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cosched.digits.typed import command_to_continue, title


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Let Hydra have started a job with these overrides."""

    def start(*task, hydra=(), number="???", sources=()):
        sources = [{"path": path, "provider": provider} for path, provider in sources]
        config = {
            "job": {"name": "app", "num": number},
            "runtime": {"cwd": str(tmp_path), "config_sources": sources},
            "overrides": {"task": [*task], "hydra": [*hydra]},
        }
        monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": config}))

    return start


@pytest.mark.parametrize("name", ["run", "out/0", "a b", "lr=0.1,size=2", "it's", "50%"])
def test_a_shell_and_hydra_read_the_command_that_continues_a_run(typed, tmp_path, name):
    task = ["trainer.max_epochs=400", "+param_groups={base: {lr: 0.1}, fc: {lr: 0.2}}", "~scheduler.phases.warmup"]
    gone = ["resume_from=trunk", "resume_at=2ep"]
    elsewhere = ["hydra.sweep.dir=out", "hydra.run.dir=x", "hydra.mode=MULTIRUN", "hydra/launcher=joblib"]
    typed(*task, *gone, hydra=[*elsewhere, "hydra.searchpath=[file://conf]"], number=0)
    words = shlex.split(command_to_continue(tmp_path / name))
    read = OverridesParser.create().parse_overrides(words[1:])
    assert words[0] == "cosched-train"
    assert [one.get_key_element() for one in read[:2]] == ["hydra.run.dir", "resume_from"]
    assert [str(one.value()) for one in read[:2]] == [name, name]
    assert words[3:] == ["hydra.searchpath=[file://conf]", *task]


def test_it_names_the_folder_of_configs_and_one_elsewhere_as_a_whole(typed, tmp_path):
    typed(sources=[("cosched.digits.conf", "main"), ("/my conf", "command-line")])
    assert command_to_continue(tmp_path.parent / "x") == (
        f"cosched-train --config-dir '/my conf' hydra.run.dir={tmp_path.parent}/x resume_from={tmp_path.parent}/x"
    )


def test_a_picture_of_a_job_says_which_one_it_is_and_that_of_a_run_does_not(typed, tmp_path):
    typed("a=1", "b=2")
    assert title(tmp_path) == "app: a=1 b=2"
    typed()
    assert title(tmp_path) == "app"
    typed("a=1", number=3)
    assert title(tmp_path) == "app, job 3: a=1"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["null", "2"])
def test_the_command_that_a_stopped_job_of_a_sweep_says_continues_it(tmp_path, stop_when, ranks):
    tiny = [*TINY, "trainer.max_epochs=8", "scheduler.cycle_size=2ep", f"distributed.nproc_per_node={ranks}"]
    said = stop_when("out/a=1/history.csv", JOB, "-m", *tiny, "hydra.sweep.dir=out", "hydra.sweep.subdir='a=1'")
    (line,) = [line for line in said.splitlines() if line.startswith("  cosched-train ")]
    Start(JOB, *shlex.split(line)[1:], cwd=tmp_path).check()
    Start(JOB, *tiny, "hydra.run.dir=whole", cwd=tmp_path).check()
    assert history(tmp_path / "out/a=1") == history(tmp_path / "whole")
