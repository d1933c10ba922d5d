"""``logger=tensorboard`` and ``logger=mlflow``: what is kept, read back as those libraries do."""

import pytest
from helpers import column, history, train_tiny

from cosched import ConfigError
from cosched.digits import watching

GROUPS = ("scheduler.relative=true", "scheduler.start_value=1", "scheduler.end_value=0.5")
GROUPS += ("+param_groups.base.lr=0.1", "+param_groups.fc.lr=0.01")


@pytest.mark.parametrize("which", ["tensorboard", "mlflow"])
def test_what_is_not_installed_is_named_before_anything_is_written(tmp_path, monkeypatch, which):
    def missing(what, extra, *modules):
        raise ModuleNotFoundError(f"{what} needs {modules[0]}: {extra}")

    monkeypatch.setattr(watching, "require", missing)
    with pytest.raises(ConfigError, match=f"^logger={which} needs {which}: {which}$"):
        train_tiny(tmp_path, f"logger={which}")
    assert not list(tmp_path.iterdir())


def trained(folder, which):
    """A run that is continued, and its history."""
    train_tiny(folder, *GROUPS, f"logger={which}", "trainer.max_epochs=2")
    train_tiny(folder, *GROUPS, f"logger={which}", "trainer.max_epochs=3", f"resume_from={folder}")
    return history(folder)


@pytest.mark.loops
@pytest.mark.filterwarnings("default")  # theirs
def test_tensorboard_has_the_curves_of_each_iteration(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = trained(tmp_path, "tensorboard")
    kept = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"scalars": 0})
    kept.Reload()
    for name, own in {"lr/base": "lr (base)", "lr/fc": "lr (fc)", "train_loss": "train_loss"}.items():
        events = kept.Scalars(f"run/{name}")
        assert [one.step for one in events] == list(range(1, 46))
        assert [one.value for one in events] == pytest.approx(column(rows, own))
    for name in "val_accuracy", "val_loss":
        events = [(one.step, one.value) for one in kept.Scalars(f"run/{name}")]
        assert events == [(i, pytest.approx(float(rows[i - 1][name]))) for i in (15, 30, 45)]


@pytest.mark.loops
@pytest.mark.filterwarnings("default")
def test_mlflow_has_one_run_with_its_config_and_the_end_of_each_epoch(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlparse")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    rows = trained(tmp_path / "run", "mlflow")
    [run] = mlflow.search_runs(output_format="list")
    assert run.data.params["scheduler.end_value"] == "0.5"
    assert run.info.status == "FINISHED"
    client = mlflow.MlflowClient()
    names = {"lr/base": "lr (base)", "lr/fc": "lr (fc)"} | {one: one for one in ("train_loss", "val_accuracy")}
    for name, own in names.items():
        kept = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, f"run {name}")]
        assert kept == [(i, pytest.approx(float(rows[i - 1][own]))) for i in (15, 30, 45)]


@pytest.mark.loops
@pytest.mark.filterwarnings("default")
def test_mlflow_knows_how_a_run_has_ended(tmp_path, monkeypatch, until):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlparse")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    options = ["logger=mlflow", "trainer.max_epochs=2"]

    def status():
        return [one.info.status for one in mlflow.search_runs(output_format="list")]  # the last one first

    until(20, tmp_path / "run", *options)
    assert status() == ["KILLED"]
    train_tiny(tmp_path / "run", *options, f"resume_from={tmp_path / 'run'}")
    assert status() == ["FINISHED"]
    linear = "model._target_=torch.nn.Linear ~model.channels +model.in_features=64 +model.out_features=10"  # of images
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train_tiny(tmp_path / "failed", *options, *linear.split())
    assert status() == ["FAILED", "FINISHED"]
    assert mlflow.active_run() is None
