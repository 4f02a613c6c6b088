# Everything works on a fresh clone: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The tested versions; `make CONSTRAINTS= test` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= -c constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)

# How many tests run at once: auto is two a core, logical one; 0 is one after another, in one process.
WORKERS ?= auto
UNIT_WORKERS ?= logical
PYTEST := $(BIN)/python -m pytest --dist loadgroup

.PHONY: quickstart test test-unit test-gpu test-all check format clean

quickstart: $(VENV)/.installed
	$(BIN)/tlsearch quickstart

test: $(VENV)/.installed-dev
	$(PYTEST) -n $(WORKERS) -m "not slow"

# Without PostgreSQL: tests/conftest.py marks what needs it and fails what uses it without the mark.
test-unit: $(VENV)/.installed-dev
	$(PYTEST) -n $(UNIT_WORKERS) -m "not slow and not database" tests/unit tests/optuna_ext

# What needs a GPU, on a machine with one; elsewhere it is skipped.
test-gpu: $(VENV)/.installed-dev
	TLSEARCH_TEST_GPU=1 $(PYTEST) -m gpu tests/acceptance/test_gpu.py tests/parity tests/unit

test-all: $(VENV)/.installed-dev
	$(PYTEST) -n $(WORKERS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV): a minute or two ..."
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV): a minute or two ..."
	$(INSTALL) -e ".[dev]"
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
