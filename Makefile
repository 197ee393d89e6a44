PYTHON ?= python3
UV ?= uv
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
TOOLS := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)
COMPILE := $(TOOLS) pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test bench faults mutants machine canaries fuzz scan sbom format openapi lock clean
MAKEFLAGS += --no-print-directory

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

setup: .venv/.ready ## install comms into .venv

setup-dev: .venv/.ready-dev .venv/.ready-peers ## install comms and the tools that check it

demo: setup ## send a message a channel, then keep serving (ONCE=1: stop after the messages)
	@$(BIN)/comms demo $(if $(ONCE),--once)

test: setup-dev ## check style, types and layers, then run the tests
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/python -m pytest --quiet $(ARGS)

bench: setup-dev .venv/.ready-bench-peers ## measure against bare PostgreSQL, in ratios (ARGS=accepts: that part alone)
	@$(BIN)/python -m bench $(ARGS)

faults: setup-dev ## bad nights, two faults at a time, each judged (MINUTES=60, SEED=n: the same again)
	@$(BIN)/python -m tests.faults.campaign --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

mutants: setup-dev ## break a copy of the code in seventeen ways; each must be noticed (ARGS=webhook: that one)
	@$(BIN)/python -m tests.mutants.run $(ARGS)

machine: setup-dev ## anything in any order beside a reference model (STEPS=5000, SEED=n: the same again)
	@$(BIN)/python -m tests.model.run --steps $(or $(STEPS),5000) $(if $(SEED),--seed $(SEED))

canaries: setup-dev ## plant canaries by every way in, and look for them in all that comes out (COUNT=10000, SEED=n)
	@$(BIN)/python -m tests.canaries.campaign --count $(or $(COUNT),10000) $(if $(SEED),--seed $(SEED))

fuzz: .venv/.ready-fuzz ## drive parsers, signature checks and templates by coverage (MINUTES=10, SEED=n, TARGET=name)
	@$(BIN)/python -m tests.fuzz.drive --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(TARGET)

scan: .venv/.ready-tools ## look libraries up in PyPI's advisories, and the repository for secrets
	@$(BIN)/python -m tests.supply.scan .venv/tools/bin

sbom: .venv/.ready-tools ## write what a release is made of, dist/comms.cdx.json (CycloneDX)
	@mkdir -p dist
	@.venv/tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file dist/comms.cdx.json requirements.lock
	@echo "dist/comms.cdx.json"

format: setup-dev ## put the code into its canonical form
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

openapi: setup-dev ## write docs/openapi.json anew, after a change of the API
	@$(BIN)/python -c 'from msgspec import json; from comms.http.app import DOCUMENT; \
		print(json.format(json.encode(DOCUMENT)).decode())' > docs/openapi.json

lock: ## lock dependencies that were added (needs uv; UPGRADE=1: the newest of all)
	@$(COMPILE) --output-file requirements.lock > /dev/null
	@$(COMPILE) --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock > /dev/null
	@$(subst pyproject.toml,bench/peer_programs/requirements.in,$(COMPILE)) \
		--output-file bench/peer_programs/requirements.lock > /dev/null
	@$(TOOLS) --group fuzz --output-file requirements-fuzz.lock > /dev/null
	@$(TOOLS) --group tools --output-file requirements-tools.lock > /dev/null
	@! grep -nE '://|^--?(index|extra|find)' requirements*.lock bench/peer_programs/requirements.lock

clean: ## remove all that make made; comms-data stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Debian packs venv apart from Python: say so, rather than let ensurepip's traceback say it.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "comms needs Python 3.11 or newer: install it, or name it with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python can't make virtual environments: run 'apt-get install python3-venv' first." >&2; exit 1; }
	@echo "Setting up .venv, once ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

# The project goes in after its dependencies, without them: every byte of those is pinned by a hash.
.venv/.ready: requirements.lock pyproject.toml | .venv/bin/python
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

.venv/.ready-dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps -e .
	@touch $@ .venv/.ready

# What ours is measured beside needs libraries that ours does not.
.venv/.ready-bench-peers: bench/peer_programs/requirements.lock | .venv/bin/python
	@$(PYTHON) -m venv --clear .venv/bench-peers
	@.venv/bench-peers/bin/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes -r $<
	@touch $@

# Needed by nobody who only wants the tests: a fuzzer beside the service, scanners in an environment of their own.
.venv/.ready-fuzz: requirements-fuzz.lock .venv/.ready-dev
	@$(PIP) install --require-hashes -r requirements-fuzz.lock
	@touch $@

.venv/.ready-tools: requirements-tools.lock .venv/.ready-dev
	@$(PYTHON) -m venv .venv/tools
	@.venv/tools/bin/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes -r requirements-tools.lock
	@touch $@

# Node's packages that tests talk to; without npm those tests say so.
.venv/.ready-peers: tests/peers/package-lock.json | .venv/bin/python
	@if command -v npm > /dev/null; then mkdir -p .venv/peers && cp tests/peers/package*.json .venv/peers \
		&& npm ci --prefix .venv/peers --ignore-scripts --no-audit --no-fund --silent && touch $@; fi
