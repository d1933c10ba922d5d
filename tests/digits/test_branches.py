"""Branches off a trunk: the values that are applied, what is left alone, stops, and branches of branches."""

import csv

import numpy as np
import pytest
from helpers import JOB, ROOT, TINY, Start, column, history, train_tiny

from cosched import Constant, Phases, PolynomialAnnealing, SqrtAnnealing, lasting

BRANCH = ["scheduler.on_mismatch=branch", "scheduler.start_value=0.1", "scheduler.end_value=0", "trainer.max_epochs=4"]
LINEAR, SQRT = ["scheduler=linear_decay", *BRANCH], ["scheduler=sqrt_annealing", "scheduler.cycle_size=100%", *BRANCH]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """A run of three epochs at one rate, with a checkpoint of each."""
    folder = tmp_path_factory.mktemp("trunk")
    train_tiny(folder, "scheduler=constant", "scheduler.value=0.1", "trainer.max_epochs=3", "keep_checkpoints=all")
    return folder


def decay(shape, events):
    return shape(start_value=0.1, end_value=0, cycle_size=events).values(range(events)).tolist()


@pytest.mark.parametrize("loop", ["ignite", "torch"])
def test_a_branch_begins_its_schedule_where_it_leaves_and_leaves_the_trunk_alone(trunk, tmp_path, loop):
    before = contents(trunk)
    point = [f"resume_from={trunk}", "resume_at=2ep"]
    train_tiny(tmp_path / "linear", *LINEAR, *point, f"loop={loop}")
    assert column(history(tmp_path / "linear"), "lr") == [0.1] * 30 + decay(PolynomialAnnealing, 30)
    assert history(tmp_path / "linear")[:30] == history(trunk)[:30]
    train_tiny(tmp_path / "sqrt", *SQRT, f"resume_from={trunk / 'checkpoint_45.pt'}", f"loop={loop}")
    assert column(history(tmp_path / "sqrt"), "lr") == [0.1] * 45 + decay(SqrtAnnealing, 15)
    assert contents(trunk) == before


@pytest.mark.parametrize("loop", ["ignite", "torch"])
@pytest.mark.slow
def test_a_branch_that_is_stopped_goes_on_bit_by_bit(trunk, tmp_path, until, loop):
    whole, run, point = tmp_path / "whole", tmp_path / "run", [f"resume_from={trunk}", "resume_at=1ep"]
    train_tiny(whole, *LINEAR, *point, f"loop={loop}")
    until(37, run, *LINEAR, *point, f"loop={loop}")
    assert len(history(run)) == 37
    train_tiny(run, *LINEAR, f"resume_from={run}", f"loop={loop}")
    assert history(run) == history(whole)


@pytest.mark.slow
def test_a_branch_of_a_branch(trunk, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train_tiny(first, *LINEAR, f"resume_from={trunk}", "resume_at=1ep", "keep_checkpoints=all")
    train_tiny(second, *SQRT, f"resume_from={first}", "resume_at=2ep")
    assert column(history(second), "lr") == [0.1] * 15 + decay(PolynomialAnnealing, 45)[:15] + decay(SqrtAnnealing, 30)
    train_tiny(second, *SQRT, f"resume_from={second}")


@pytest.mark.slow
def test_the_experiments_branches_of_a_trunk_by_one_command(tmp_path):
    conf = ["-cd", ROOT / "conf"]
    tiny = [*TINY, "trainer.checkpoint_every=20"]
    Start(JOB, *conf, "+experiment=trunk", "hydra.run.dir=trunk", *tiny, cwd=tmp_path).check()
    before = contents(tmp_path / "trunk")
    sweep = ["-m", "+experiment=branches", "resume_from=trunk", "hydra.sweep.dir=out"]
    run = Start(JOB, *conf, *sweep, *tiny, cwd=tmp_path).check()
    assert contents(tmp_path / "trunk") == before
    warmup = lasting(PolynomialAnnealing(start_value=0, end_value=0.1, cycle_size=15), 15)
    trunk = Phases(phases={"warmup": warmup, "stable": lasting(Constant(value=0.1), 165)}).values(range(180))
    assert column(history(tmp_path / "trunk"), "lr") == trunk.tolist()
    job = 0
    for point in (6, 9, 12):
        assert f"trunk/checkpoint_{point * 15}.pt: iteration {point * 15}, epoch {point}\n" in run.out
        for shape in (PolynomialAnnealing, SqrtAnnealing):
            rows = history(tmp_path / f"out/{job}")
            assert column(rows, "lr") == [*trunk[: point * 15], *decay(shape, 45)]
            assert rows[: point * 15] == history(tmp_path / "trunk")[: point * 15]
            job += 1
    with (tmp_path / "out/sweep.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


@pytest.mark.slow
def test_the_experiments_that_go_on_with_a_run(tmp_path):
    conf = ["-cd", ROOT / "conf"]
    Start(JOB, *conf, "scheduler=wsd", "trainer.max_epochs=10", "hydra.run.dir=run", *TINY, cwd=tmp_path).check()
    rewarm = ["+experiment=rewarm", "resume_from=run", "trainer.max_epochs=20", "hydra.run.dir=rewarmed"]
    Start(JOB, *conf, *rewarm, *TINY, cwd=tmp_path).check()
    rates = np.array(column(history(tmp_path / "rewarmed"), "lr"))
    assert rates[:150].tolist() == column(history(tmp_path / "run"), "lr")
    assert rates[150:].argmax() == 15, "a tenth of the ten epochs that remain"
    assert rates[150:].max() == 0.1
    assert (np.diff(rates[150:166]) > 0).all()
    assert (np.diff(rates[166:]) < 0).all()
    extend = ["+experiment=extend", "resume_from=run", "trainer.max_epochs=20", "hydra.run.dir=run"]
    Start(JOB, *conf, *extend, *TINY, cwd=tmp_path).check()
    longer = np.array(column(history(tmp_path / "run"), "lr"))
    assert longer[:150].tolist() == rates[:150].tolist()
    assert (longer[150:240] == 0.1).all(), "the decay is the last fifth again"
    assert (np.diff(longer[240:]) < 0).all()
