# `make demo` and `make test` do everything on a machine that has Python 3.10+ and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test oldest lint audit docs faults packages clean
.DEFAULT_GOAL := demo

demo: .venv/installed
	$(BIN)/python -m recipes demo

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

oldest: .venv/installed
	.ci/oldest $(BIN)/python

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	.ci/lint-js

docs: .venv/installed
	.ci/docs $(BIN)/python

audit: .venv/installed
	.ci/audit $(BIN)/python

faults: .venv/installed
	$(BIN)/python -m tests.faults --runs 200 --seed 0

packages: .venv/installed
	$(BIN)/python -m tests.packages

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes and some gigabytes the first time (PyTorch)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv .venv-oldest build runs
