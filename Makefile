# Targets a newcomer guesses; `make` alone lists them.

# Any Python from 3.11 on makes the environment; everything after that runs inside it.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
PY := .venv/bin/python
# Compiled modules are kept, whatever the shell says: each of the hundreds of processes that the tests
# start costs a second less. `make clean` removes them.
unexport PYTHONDONTWRITEBYTECODE
# More arguments for pytest, for example: make test-unit ARGS='-k routing -x'
ARGS ?=
# A file or folder of tests, or one test of a file, instead of all: make test-unit FILE=tests/unit/test_docs.py
FILE ?=
# Integration tests side by side: they wait more than they compute.
JOBS ?= 5
# Chaos has a target of its own: its deadlines want the machine for themselves.
INTEGRATION := $(PY) -m dev run -- $(PY) -m pytest $(or $(FILE),tests/integration --ignore tests/integration/test_chaos.py)
PARALLEL := --numprocesses $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup environment demo test test-unit test-integration lint format typecheck \
	coverage bench bench-change generated attack chaos chaos-short fuzz internals package release docs chart changelog lock sbom audit-deps clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: environment ## Install everything into .venv and .dev (the other targets do it when needed)
	@$(PY) -m dev setup

environment:
	@$(PYTHON) -m dev.environment

demo: environment ## Show the persister at work beside a Kafka and a database (KEEP=1 leaves all running)
	@$(PY) -m dev.demo

test: test-unit test-integration chaos-short ## Run all tests

test-unit: environment ## Run the tests that need no service (FILE=tests/unit/test_docs.py, ARGS='-k links')
	@$(PY) -m pytest $(or $(FILE),tests/unit) $(ARGS)

test-integration: environment ## Run the tests that need Kafka and a database, which are started (FILE=, ARGS=)
	@$(INTEGRATION) $(PARALLEL) --durations 10 $(ARGS)

coverage: environment ## Report which lines the tests run (.coverage-html); workers are not counted
	@$(PY) -m pytest tests/unit --cov --cov-report term:skip-covered --cov-report html:.coverage-html $(ARGS)

lint: environment ## Check style and formatting
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@.venv/bin/lint-imports --no-logo --no-cache

format: environment ## Format, and fix what can be fixed automatically
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

typecheck: environment ## Check the types
	@$(PY) -m mypy

bench: environment ## Measure throughput and latency (ONLY=latency)
	@$(PY) -m dev.bench $(if $(ONLY),--only $(ONLY))

bench-change: environment ## Say whether this commit makes a record cost more than the one before
	@$(PY) -m dev.bench.change

attack: environment ## Attack a gateway and a worker, larger than the integration tests do
	@ATTACK_SCALE=$${ATTACK_SCALE:-5} $(PY) -m dev run -- $(PY) -m pytest tests/integration/attack $(ARGS)

chaos: environment ## Kill workers, Kafka and the database while records flow, and count what arrived
	@$(PY) -m dev.chaos

chaos-short: environment ## The short form of chaos: a few of the faults, in two minutes
	@$(PY) -m pytest tests/integration/test_chaos.py $(ARGS)

internals: environment ## Show what a new version changes below us: make internals NEW=aiokafka==0.15.0
	@$(PY) -m dev.internals $(NEW)

package: environment ## Build a wheel and an sdist in dist/
	@$(PY) -m dev.package

release: environment ## Make all that is published of a version, with checksums, in dist/
	@$(PY) -m dev.release

# Not --quiet: mkdocs would then count no warning, and strict be without effect.
docs: environment ## Build the documentation into .site (SERVE=1 shows it at 127.0.0.1:8000)
	@$(PY) -m dev.aside docs/requirements.txt env NO_MKDOCS_2_WARNING=1 mkdocs $(if $(SERVE),serve,build)

chart: environment ## Check the Helm chart (needs helm, or Go to build it)
	@$(PY) -m dev.aside deploy/chart/requirements.txt python -m dev.chart

changelog: environment ## Move the fragments of changes/ into CHANGELOG.md
	@$(PY) -m dev.changelog

lock: environment ## Update the lock files, after one of requirements*.txt changed
	@$(PY) -m dev.lock

fuzz: environment ## Look for inputs that cost too much or raise (SECONDS=60)
	@$(PY) -m dev.fuzz --seconds $(or $(SECONDS),60)

generated: environment ## Regenerate what is made from the code: references, dashboard
	@$(PY) -m dev.generated

sbom: environment ## List what an image holds (CycloneDX) in dist/sbom.cdx.json
	@$(PY) -m dev.sbom

audit-deps: environment ## Look for known vulnerabilities in the pinned packages
	@$(PY) -m pip_audit --strict --requirement requirements-dev.lock --no-deps --disable-pip

clean: ## Delete everything that was installed or made
	rm -rf .venv .dev .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage-html .ci/logs .site build dist *.egg-info .persister-data .demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
