# `make train` runs the main job, `make test` the tests; each sets up .venv first if need be.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: train test test-next test-more bench lint

train: $(VENV)/ready
	$(BIN)/cosched-train $(ARGS)

# `make test ARGS=--durations=10` names the ten slowest too.
test: $(VENV)/ready
	$(BIN)/pytest $(ARGS)

# What touches Hydra, on the release candidate of its next version.
test-next: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/next \
		hydra-core==1.4.0rc3 omegaconf==2.4.1rc1
	PYTHONPATH=$(abspath $(VENV)/next) $(BIN)/pytest tests/config tests/loops/test_attaching.py tests/sweeps

# Training on several processes, a million events, sweeps under other launchers and sweepers, which this installs.
test-more: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sweeps]'
	$(BIN)/pytest -m 'sweeps or slow' $(ARGS)

# Every figure beside its peers, into benchmarks/RESULTS.md.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/types/check.py

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
