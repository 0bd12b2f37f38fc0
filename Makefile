# Everything a developer runs. It needs make, bash and a Python from 3.11; the rest is fetched into .venv and node_modules.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Node is the environment's own, since the machine's may be older than wispyjs needs. Debian keeps nginx and haproxy
# where only root looks.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH):/usr/sbin

# In CI a test that cannot run has failed: NO_SKIPS=1 (or CI) makes it so. PROCESSES=2 has two of them take the tests,
# file by file and in another order, each with servers and browsers of its own: many tests wait more than they compute.
PYTEST = $(BIN)/python -m pytest $(if $(NO_SKIPS)$(CI),-p scripts.no_skips) \
	$(if $(PROCESSES),--numprocesses $(PROCESSES) --dist loadfile)

# Set-up, each step once: again when what it depends on has changed.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
FUZZ := $(VENV)/.installed-fuzz
AUDIT := $(VENV)/.installed-audit
NODE := node_modules/.installed

$(BIN)/python:
	scripts/make-venv $(VENV)

$(RUN): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(FUZZ): pyproject.toml | $(DEV)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	touch $@

$(AUDIT): pyproject.toml | $(DEV)
	$(BIN)/python -m pip install --quiet --editable '.[audit]'
	touch $@

$(NODE): package-lock.json | $(DEV)
	$(BIN)/npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: help demo setup programs test lint fmt layers types unit js integration browser bench chaos fuzz audit k8s-e2e conformance docs lock screenshots

help: ## list what can be made
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(RUN) ## start the live plot and open its page (Ctrl-C ends it)
	@$(BIN)/python examples/live_plot/live_plot.py

setup: $(DEV) $(NODE) ## install what development needs into .venv and node_modules

programs:
	scripts/install-programs

# One pytest run, and last, so that its summary ends the output. By one process it takes half an hour.
test: PROCESSES ?= 2
test: setup programs lint types js ## check and test everything: what CI runs
	$(PYTEST)

lint: $(DEV) layers ## lint, check the format and the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive wispy scripts

layers: $(DEV)
	$(BIN)/lint-imports --no-cache

fmt: $(DEV) ## format the Python code and sort its imports
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

types: $(DEV) $(NODE) ## check the types of Python (pyright) and JavaScript (tsc)
	$(BIN)/pyright
	$(BIN)/npx --no-install tsc --project tsconfig.json

unit: $(DEV) js ## run the quick tests: nothing of wispy is started, and no browser
	$(PYTEST) tests/unit

js: $(DEV)
	$(BIN)/node --test "tests/js/**/*.test.mjs"

integration: $(DEV) programs ## run the tests over real servers and sockets
	$(PYTEST) tests/integration

browser: $(DEV) $(NODE) programs ## run the tests in a real browser
	$(PYTEST) tests/browser

bench: $(DEV) ## measure calls, fan-out and memory against bare Tornado
	$(BIN)/python -m benchmarks

chaos: $(DEV) programs ## break things at random under load for SECONDS (900), and keep the books
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),900) $(if $(SEED),--seed $(SEED))

fuzz: $(FUZZ) ## fuzz codec and paths, guided by coverage, for SECONDS (600), and keep what leads to new code
	$(BIN)/python -m tests.security.fuzz --seconds $(or $(SECONDS),600)

audit: $(AUDIT) ## ask the network for known holes in what is locked (fails where it cannot be asked)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement locks/run.txt

k8s-e2e: $(DEV) ## roll, kill and watch pods under load on a real Kubernetes node (needs root and the lab's k8s-node)
	$(BIN)/python -u -m tests.kubernetes

conformance: $(DEV) ## run the Autobahn websocket suite (needs a CPython 2.7)
	$(BIN)/python -m tests.conformance

docs: $(DEV) ## write the reference pages that are made from the code
	$(BIN)/python -m scripts.write_docs

# What is locked stays as it is while it fits; `make lock UPGRADE=1` takes the newest of everything.
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header $(if $(UPGRADE),--upgrade)

lock: $(DEV) ## lock what the container image installs, in locks/ (UPGRADE=1: the newest of everything)
	$(LOCK) --output-file locks/run.txt pyproject.toml
	$(BIN)/python -m scripts.build_requirements | $(LOCK) --python-version 3.11 --output-file locks/build.txt -

screenshots: $(DEV) ## take the documentation's pictures anew (needs Debian's chromium)
	$(BIN)/python -m scripts.screenshots
