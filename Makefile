# `make` alone lists the targets. PYTHON makes .venv the first time; afterwards everything runs in .venv.
PYTHON ?= python3
RUN ?= demo/run
WORKERS ?= 2
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable
# Each worker begins at its own half of the files, so that what a file's tests share is mostly made once; who is done
# first takes from the rest of the other's.
PYTEST := .venv/bin/python -m pytest -q --numprocesses $(WORKERS) --dist worksteal
INSTALL := bin/python -m pip install -qq --disable-pip-version-check
TOOLS := pytest pytest-xdist pytest-timeout hypothesis packaging
RECORD := .venv/bin/python -m benchmarks.record
unexport PYTHONDONTWRITEBYTECODE # pytest keeps the tests that it rewrote: they are collected in half the time

.DEFAULT_GOAL := help
.PHONY: help demo serve test fast test-lowest test-latest check screenshots docs bench clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.made ## install, then train, evaluate and search the built-in set; the report is in demo/
	@if [ -e .venv/.demo ]; then rm -rf demo; elif [ ! -e demo ]; then touch .venv/.demo; fi
	.venv/bin/crossbit demo --out demo

serve: .venv/.made-serve ## show the demo's run in a browser; the demo is made first if it is not there
	@[ -e demo/run/index ] || $(MAKE) demo
	.venv/bin/crossbit serve demo/run

test: check ## everything that is checked before a change goes in
	$(PYTEST)

# Without the examples in docstrings and docs, which make test runs.
fast: .venv/.made-dev ## what to run on each change: tests that take less than a minute together
	$(PYTEST) tests -m "not slow" --hypothesis-profile fast

test-lowest: ## the fast tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/$(INSTALL) $(TOOLS)
	.venv-lowest/bin/python tests/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/$(INSTALL) --constraint .venv-lowest/lowest.txt $(TOOLS) --editable '.[train]'
	.venv-lowest/bin/python -m pytest -q --numprocesses $(WORKERS) -m "not slow"

# torch alone stays as it is pinned: the newest one brings gigabytes of CUDA.
test-latest: ## the fast tests with the newest versions of all but torch, in .venv-latest
	$(PYTHON) -m venv .venv-latest
	grep '^torch==' constraints.txt > .venv-latest/torch.txt
	.venv-latest/$(INSTALL) --upgrade --constraint .venv-latest/torch.txt $(TOOLS) --editable '.[train]'
	.venv-latest/bin/python -m pytest -q --numprocesses $(WORKERS) -m "not slow"

check: .venv/.made-dev ## format, lint, types, import directions
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -q tests/test_imports.py

screenshots: .venv/.made-dev ## make the pictures of the pages in docs/images anew, from a run: make screenshots RUN=demo/run
	.venv/bin/python -m benchmarks.screenshots $(RUN)

docs: .venv/.made-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

bench: .venv/.made-dev ## measure again what needs no published code, and write BENCHMARKS.md
	$(RECORD) search -- -m benchmarks.speed.search
	$(RECORD) mean-average-precision -- -m benchmarks.speed.mean_average_precision
	$(RECORD) index -- -m benchmarks.speed.index
	$(RECORD) searcher -- -m benchmarks.speed.searcher
	$(RECORD) demo -- -m benchmarks.speed.demo
	$(RECORD) nrch-speed -- -m benchmarks.published nrch speed
	.venv/bin/python -m benchmarks.render

clean: ## remove what the other targets made, .venv too
	@if [ -e .venv/.demo ]; then rm -rf demo; fi
	rm -rf .venv .venv-lowest .venv-latest site build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# Stamps: made again when a requirement changes, instant otherwise.
.venv/.made: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing crossbit and what it needs into .venv (minutes the first time)"
	$(PIP) '.[train]'
	@touch $@

.venv/.made-%: .venv/.made
	$(PIP) '.[$*]'
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "crossbit needs Python 3.11 or newer, and $(PYTHON) is not; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "$(PYTHON) cannot make virtual environments; install its venv module (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
