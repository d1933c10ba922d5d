"""A sweep in an MLflow store (extra ``mlflow``): one run for the sweep, with one run for each of its jobs under it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cosched
from cosched.sweeps.results import Result

VALUE = "returned value"
LONGEST = 500  # letters of a parameter that every store takes


def to_mlflow(results: Sequence[Result], files: Iterable[Path], title: str, experiment: str) -> str:
    """Write a sweep into the store that ``MLFLOW_TRACKING_URI`` names; return the id of its run.

    Each job has its overrides as parameters, and what it returned as a metric; one that failed is marked so. ``files``,
    the table and the pictures, go to the run of the sweep.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """
    cosched.require("cosched report --mlflow", "mlflow", "mlflow", "sqlalchemy")
    import mlflow

    client: Any = mlflow.MlflowClient()
    known = client.get_experiment_by_name(experiment)
    where = known.experiment_id if known is not None else client.create_experiment(experiment)
    parent: str = client.create_run(where, run_name=title).info.run_id
    for result in results:
        tags = {"mlflow.parentRunId": parent} | ({"error": result.error} if result.error is not None else {})
        run = client.create_run(where, run_name=f"job {result.number}", tags=tags).info.run_id
        for key, value in result.overrides.items():
            client.log_param(run, _key(key), value[:LONGEST])
        if result.value is not None:
            client.log_metric(run, VALUE, result.value)
        client.set_terminated(run, "FINISHED" if result.error is None else "FAILED")
    for file in files:
        client.log_artifact(parent, str(file))
    client.set_terminated(parent)
    return parent


def _key(key: str) -> str:
    """An override's key in the letters that MLflow takes: ``scheduler@scheduler.lr`` has others."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in key)
