"""``cosched report --mlflow``: a sweep, read back as MLflow does."""

import pytest

from cosched.sweeps.command import main

pytestmark = [pytest.mark.loops, pytest.mark.usefixtures("sketched"), pytest.mark.filterwarnings("default")]


def test_mlflow_has_a_run_of_the_sweep_with_its_jobs_under_it(app, folder, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlparse")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    app("hydra/callbacks=schedule_report", "do=score,fail", "seed=1,2", "note=a")
    for _ in range(2):  # a later report is another run of the same experiment
        with pytest.raises(SystemExit):
            main(["report", "out", "--mlflow", "sweeps"])
    runs = mlflow.search_runs(experiment_names=["sweeps"], output_format="list")
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name for run in parents] == ["out: 4 jobs"] * 2
    client = mlflow.MlflowClient()
    assert {file.path for file in client.list_artifacts(parents[0].info.run_id)} >= {"sweep.csv", "sweep.png"}
    jobs = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    kept = {
        run.info.run_name: (run.data.params["do"], run.data.params["seed"], run.info.status, bool(run.data.metrics))
        for run in jobs
    }
    assert kept == {
        "job 0": ("score", "1", "FINISHED", True),
        "job 1": ("score", "2", "FINISHED", True),
        "job 2": ("fail", "1", "FAILED", False),
        "job 3": ("fail", "2", "FAILED", False),
    }
    assert all("error" in run.data.tags for run in jobs if run.info.status == "FAILED")
