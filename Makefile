# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Real data for experiments and slow tests, where this checkout has it beside it; nothing depends on it.
ifneq ($(wildcard ../shared/data),)
export SOLVABLE_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test serial slow lint style types bench docs durations clean

# One thread of linear algebra in each of several processes: more threads than cores wait for each other. Bytecode is
# kept, even where the environment says otherwise: every process would compile the tests and the package again.
PYTEST := PYTHONDONTWRITEBYTECODE= OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL := -n logical --dist worksteal

help:  ## say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / - /; s/^/make /'

$(VENV)/core: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the light core into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/core
	@echo "installing torch and the tools of development into $(VENV) ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/core  ## predict a learning curve on scikit-learn's digits, measure it, write figure and report
	@$(BIN)/solvable run regression

# Types are checked beside the serial tests, which leave a core idle; they give way, since some of those watch a clock.
test: $(VENV)/dev style  ## lint, then the tests without the slow studies
	$(PYTEST) -m 'not slow' --ignore tests/serial $(PARALLEL)
	@$(MAKE) --no-print-directory --jobs 2 types serial

serial: $(VENV)/dev
	$(PYTEST) -m 'not slow' tests/serial

slow: $(VENV)/dev  ## the slow studies at full size, on the real data where SOLVABLE_DATA names them
	$(PYTEST) -m slow -rP --ignore tests/serial $(PARALLEL) tests
	$(PYTEST) -m slow -rP tests/serial

durations: $(VENV)/dev  ## the CPU time of the fast and the slow tests of each folder
	$(PYTEST) --folders --ignore tests/serial $(PARALLEL)
	$(PYTEST) --folders tests/serial

lint: style types  ## style, format and types

style: $(VENV)/dev
	$(BIN)/ruff check src tests benchmarks docs_tools
	$(BIN)/ruff format --check src tests benchmarks docs_tools

types: $(VENV)/dev
	nice $(BIN)/pyright

bench: $(VENV)/dev  ## time us and the peers on the same work and print the ratios
	$(BIN)/python -m benchmarks

docs: $(VENV)/dev  ## build the documentation into site/; it needs no network to be read
	@rm -rf site
	@$(BIN)/python -m docs_tools.posters
	@$(BIN)/solvable hunt page docs/hunt/play.html --quiet
	@$(BIN)/python -m zensical build --strict --clean
	@echo "open $(CURDIR)/site/index.html"

clean:  ## remove the environment and what tests leave behind (records in runs/ stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .cache site docs/posters docs/hunt src/*.egg-info
