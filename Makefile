# `make` alone explains the targets. A fresh Debian or Ubuntu with Python 3.11 needs nothing else.

# Another interpreter: make PYTHON=python3.13
PYTHON ?= python3
export PYTHON

# Even where the environment says otherwise, keep compiled modules: tests start hundreds of
# processes, and each would compile them again.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup packages browser up down demo unit test coverage mutants soak kills cluster failover fuzz proofs dist installed trixie image matrix constraints check bench clean

help: ## this list
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/\$$\$$/$$/g; s/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: packages $(STAMP) ## RabbitMQ, PostgreSQL and .venv, each only if it is missing

packages:
	@.ci/packages services

# Installing again is what makes a changed pin or dependency real; without a change nothing runs.
$(STAMP): pyproject.toml constraints.txt
	@.ci/packages venv
	@echo 'Filling .venv (about half a minute)' >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

browser: ## chromium and its driver, for the browser test
	@.ci/packages browser

up: setup ## start the private RabbitMQ and PostgreSQL; eval "$$(make -s up)" sets their addresses
	@$(BIN)/statesys up

down: ## stop them and the demo's; the data stays in .statesys
	@if [ -x $(BIN)/statesys ]; then $(BIN)/statesys down && \
		if [ -d .statesys/demo ]; then $(BIN)/statesys down --home .statesys/demo; fi; fi

demo: setup ## the whole pipeline on a synthetic fleet with faults, verified at the end
	@$(BIN)/statesys demo

# As collected, files with few long tests come first; xdist would begin with those of many tests.
test: setup ## all tests or TESTS=PATH, against real servers of their own, in four processes or JOBS=N
	@$(BIN)/python -m pytest -n $(or $(JOBS),4) --dist loadfile --no-loadscope-reorder $(TESTS)

unit: setup ## the tests that need no server
	@$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal tests/unit

soak: setup ## break everything on purpose, again and again: make soak MINUTES=10
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),10)

kills: setup ## kill loaders again and again in one drain: make kills MESSAGES=200000 KILLS=20
	@$(BIN)/python -m tests.chaos.drain \
		--messages $(or $(MESSAGES),200000) --kills $(or $(KILLS),20)

cluster: setup ## break the brokers of a cluster in every way, and measure how long the site stands still
	@$(BIN)/python -m tests.chaos.cluster

failover: setup ## kill the primary of two PostgreSQL servers under load: make failover ROUNDS=3
	@$(BIN)/python -m tests.chaos.failover --rounds $(or $(ROUNDS),3)

fuzz: setup ## hostile reports through every reader and into a database: make fuzz REPORTS=100000 SEED=1
	@$(BIN)/python -m tests.fuzz.run --reports $(or $(REPORTS),100000) $(if $(SEED),--seed $(SEED))

coverage: setup ## the unit and integration tests, and which lines and branches they miss
	@$(BIN)/python -m pytest -n $(or $(JOBS),3) --dist loadfile tests/unit tests/integration \
		--cov --cov-report=term

mutants: packages ## change the pure modules line by line; each change should fail a test (an hour)
	@$(PYTHON) -m venv .venv-mutants
	@.venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,mutants]'
	@.venv-mutants/bin/mutmut run >/dev/null || true
	@.venv-mutants/bin/mutmut results

proofs: kills soak cluster failover fuzz installed ## the long forms, one after the other: about an hour

dist: $(STAMP) ## wheel and sdist of the last commit in dist/; one commit always gives the same bytes
	@rm -rf dist && mkdir dist && .ci/dist dist && ls dist

trixie: $(STAMP) ## targets of this Makefile on a Debian 13 of its own, as root: make trixie TARGETS="demo test"
	@$(BIN)/python -m tests.proofs.trixie $(TARGETS)

image: setup ## the steps of the Dockerfile in a Debian of its own, as root, and the image's commands
	@$(BIN)/python -m tests.proofs.image

installed: setup ## build twice and compare, install the wheel elsewhere, run the pipeline there
	@$(BIN)/python -m tests.proofs.installed

matrix: packages ## the unit tests on each Python that is here: make matrix PYTHONS="python3.12 python3.13"
	@for python in $(or $(PYTHONS),python3.11 python3.12 python3.13); do \
		if ! $$python --version >/dev/null 2>&1; then echo "$$python is not here" >&2; continue; fi; \
		echo "$$python" >&2; \
		$$python -m venv .venv-$$python && \
		.venv-$$python/bin/python -m pip install --quiet --disable-pip-version-check \
			--constraint constraints.txt --editable '.[dev]' && \
		.venv-$$python/bin/python -m pytest -n $(or $(JOBS),2) --dist worksteal tests/unit || exit 1; \
	done

constraints: ## renew constraints.txt: the newest versions that pyproject.toml allows
	@rm -rf .venv-new && $(PYTHON) -m venv .venv-new
	@.venv-new/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,mutants]'
	@{ head -2 constraints.txt; .venv-new/bin/python -m pip freeze --exclude-editable; } > constraints.new
	@mv constraints.new constraints.txt && rm -rf .venv-new

check: $(STAMP) ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## the standard job, in all shapes, beside a bare pipe on two cores; rewrites docs/performance.md
	@$(BIN)/python -m lab.bench.compare

# runtime.devserver needs the standard library only, so this works without .venv too. It stops
# here, before anything is removed, when a server cannot be stopped.
clean: ## stop the private servers, remove .venv, .statesys and caches
	@$(PYTHON) -c 'from pathlib import Path; from runtime.devserver import down; \
		[down(Path(home), purge=True) for home in (".statesys/demo", ".statesys", ".statesys-test")]'
	@rm -rf .venv .venv-* .statesys .statesys-test dist build statesys.egg-info \
		mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
