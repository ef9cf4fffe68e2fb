# `make help` lists what there is. Needs nothing but a Python >= 3.11 with venv; another one: make bench PYTHON=python3.12
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

# What catches most in the time: that the house stands, every network against its golden numbers, what a protocol, a run's id and
# a record are, the command line's answers, the statistics. Nothing that trains, waits, kills, fetches or fuzzes. It takes 160 s
# of processor time, the start of workers not counted: under two minutes on two idle cores.
QUICK := tests/test_house.py $(wildcard tests/models/test_*_golden.py) tests/models/registry/test_registry_walk.py \
         $(addprefix tests/bench/,test_plan.py test_protocol.py test_record.py test_strict_values.py cli doctor) \
         $(addprefix tests/leaderboard/,records reading stats) --ignore-glob='*fuzzed*' --ignore-glob='*simulated*'

.DEFAULT_GOAL := help
.PHONY: help bench test quicktest lint board site env lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "ARGS='...' is handed to bench or pytest: make test ARGS='-k sesn'; in .venv/bin lie bench, pytest, ruff, mypy"

bench: env  ## every run under the published protocol, or a smoke test where there is no GPU, and the board; resumes
	$(BIN)/bench run --all $(ARGS)

test: env lint  ## lint, types, all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal $(ARGS)

quicktest: env  ## the tests that catch most, and lint without types: under two minutes on two idle cores
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal $(ARGS) $(QUICK)

lint: env  ## style and types: ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

board: env  ## the committed board, of records/ (what it writes: BOARD in bench/submit/board.py)
	$(BIN)/bench submit --rebuild

site: env  ## the documentation, and the board in it, as files for any web server: site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

env: $(VENV)/ready  ## .venv: the packages of requirements.lock, which has the extras [train] and [dev], and the suite, editable

# uv installs the lock in under a minute; pip alone would take the CPU wheel of torch and break torchvision.
# equiscale.py too: an editable installation has a copy of it.
$(VENV)/ready: requirements.lock pyproject.toml equiscale.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) --version 2>&1) is too old, Python 3.11 or newer is needed; say which: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip uninstall --quiet --python $(BIN)/python scalebench || true  # the suite's first name; both have a `bench`
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --reinstall-package equiscale --editable .
	@touch $@

# Pins with hashes and without index addresses, for every supported Python and platform.
lock: env  ## requirements.lock again, with the newest versions
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra train --extra dev --generate-hashes --no-header --upgrade --quiet -o requirements.lock

clean:  ## remove .venv and what tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
