from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # the process that hands out the tests needs no torch, and the others wait for it
    import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two tests run at a time

# The same examples each time, so that a failure is the fault of a change; `searching` looks for others.
settings.register_profile("quick", max_examples=10, derandomize=True)
settings.register_profile("thorough", max_examples=100, derandomize=True)  # `make test-more` asks for it
settings.register_profile("searching", max_examples=1000)
settings.load_profile("quick")


@pytest.fixture
def sgd() -> torch.optim.SGD:
    """An optimizer of two groups."""
    import torch

    return torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in (0.001, 0.01)], momentum=0.9)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment where our wheel is installed."""
    from helpers import build_wheel, environment

    folder = tmp_path_factory.mktemp("installed")
    return environment(folder / "venv", build_wheel(folder))


@pytest.fixture(autouse=True)
def _nobody_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hydra shows tracebacks under a debugger, and would take a measurement of coverage for one."""
    tracing = sys.gettrace
    tracer = tracing()
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    yield
    if tracing() is not tracer:  # Python ends it after a recursion that was too deep
        sys.settrace(tracer)
