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
.PHONY: help demo test lint bench docs clean

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

test: $(VENV)/dev lint  ## lint, then the tests without the slow studies
	$(BIN)/python -m pytest -m 'not slow'

lint: $(VENV)/dev  ## style, format and types
	$(BIN)/ruff check src tests benchmarks docs_tools
	$(BIN)/ruff format --check src tests benchmarks docs_tools
	$(BIN)/pyright

bench: $(VENV)/dev  ## time us and the peers on the same work and print the ratios
	$(BIN)/python -m benchmarks

docs: $(VENV)/dev  ## build the documentation into site/; it needs no network to be read
	@rm -rf site
	@$(BIN)/python -m zensical build --strict --clean
	@echo "open $(CURDIR)/site/index.html"

clean:  ## remove the environment and what tests leave behind (records in runs/ stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .cache site src/*.egg-info
