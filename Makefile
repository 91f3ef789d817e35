# `make` alone lists what there is. Every target installs what it needs by itself; nothing outside this folder is changed but by the
# system's package manager, and by that only when run as root (else one message says what to run).

.PHONY: help venv demo test laws test-real bench docs gates clean
.DEFAULT_GOAL := help

PYTHON := $(shell for name in python3.13 python3.12 python3.11 python3.14 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
ifeq ($(PYTHON),)
$(error ha-ssh needs Python 3.11 or newer, and none of python3.14 ... python3.11, python3 is one: install it, then run make again)
endif

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

venv:  ## make .venv with the program and all it takes to work on it (again only when pyproject.toml changes)
	@$(PYTHON) tools/environment.py dev
	@$(BIN)/python -m compileall -q -j 0 src  # where PYTHONDONTWRITEBYTECODE is set, each run would compile it anew

demo: venv  ## the main job against a simulated house: nothing of yours is touched
	@$(PYTHON) tools/system.py demo
	@$(BIN)/ha-ssh setup --demo --yes --no-input

test: gates  ## the gates and every test but those that need a real Core or a browser
	@$(PYTHON) tools/system.py test
	$(PYTEST) -n 3 --dist worksteal -m "not real"  # most tests wait for something: a third worker fills the gaps of two cores

laws: venv  ## the laws of the design, with thousands of random houses
	HYPOTHESIS_PROFILE=laws $(PYTEST) tests/laws -n 2 --dist worksteal --timeout 3600

test-real: venv  ## the program against the real Home Assistant Core, and a real browser
	@$(PYTHON) tools/system.py real
	@$(PYTHON) tools/environment.py core
	$(PYTEST) tests/real --timeout 180

bench: venv  ## the figures of docs/benchmarks.md, measured anew
	@$(PYTHON) tools/system.py test
	@$(PYTHON) tools/environment.py hass-cli
	PYTHONPATH=tools $(BIN)/python benchmarks/bench.py --write docs/benchmarks.md

docs: venv  ## the generated pages and the pictures
	$(BIN)/python tools/docs.py

gates: venv  ## lint, format, types, who imports whom, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/docs.py --check

clean:  ## remove everything that was made here
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
