# make bench = environment + every run + the board; make test = environment + lint + types + tests.
# Needs nothing but a Python >= 3.11 with venv. Another interpreter: make bench PYTHON=python3.12
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: bench test lint board env lock clean

bench: env
	$(BIN)/bench run --all $(ARGS)

test: env lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

board: env  # what it writes: BOARD in bench/submit/board.py
	$(BIN)/bench submit --rebuild

.PHONY: site
site: env  # the documentation, and the board in it, as files for any web server: site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

env: $(VENV)/ready

# uv installs the lock in under a minute; pip alone would take the CPU wheel of torch and break torchvision.
# equiscale.py too: an editable installation has a copy of it.
$(VENV)/ready: requirements.lock pyproject.toml equiscale.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) --version 2>&1) is too old, Python 3.11 or newer is needed; say which: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --reinstall-package equiscale --editable .
	@touch $@

# Pins with hashes and without index addresses, for every supported Python and platform.
lock: env
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra train --extra dev --generate-hashes --no-header --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
