# `make train` runs the main job, `make test` the tests; each sets up .venv first if need be.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-next test-versions test-more docs bench lint

train: $(VENV)/ready
	$(BIN)/cosched-train $(ARGS)

# `make test ARGS=--durations=10` names the ten slowest too.
test: $(VENV)/ready
	$(BIN)/pytest $(ARGS)

# What touches Hydra, on the release candidate of its next version.
test-next: $(VENV)/ready
	$(PIP) --no-deps --upgrade --target $(VENV)/next hydra-core==1.4.0rc3 omegaconf==2.4.1rc1
	PYTHONPATH=$(abspath $(VENV)/next) $(BIN)/pytest tests/config tests/loops/test_attaching.py tests/sweeps

# The wheel, and the library's tests, with the oldest and the newest versions of what it requires; the README's app too.
test-versions:
	$(PYTHON) .ci/environments.py $(ARGS)

# What takes its time, other people's training loops, launchers and sweepers, which this installs. (timm would bring a
# torchvision for another torch; what is tested of it does without.)
test-more: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable '.[accelerate,browser,docs,lightning,migration,mlflow,sweeps,tensorboard,transformers]'
	$(PIP) --constraint constraints.txt --no-deps timm
	$(BIN)/pytest -m 'sweeps or slow or loops or browser' $(ARGS)
	$(BIN)/pytest --hypothesis-profile=thorough tests/schedules/test_laws.py tests/schedules/test_open_starts.py tests/binding/test_branch.py

# The site, into docs/_build/html; a warning is an error, and it fetches nothing.
docs: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

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
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@
