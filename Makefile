# `make` lists what there is. ARGS goes to the program behind a target: make test ARGS="-k pacing"
# PYTHON names another interpreter, which gets an environment of its own: make test PYTHON=python3.13 makes .venv-3.13.
SHELL := /bin/bash
ARGS ?=
VENV := $(if $(PYTHON),$(shell PYTHON='$(PYTHON)' .ci/venv name),.venv)
export PYTHON VENV

.NOTPARALLEL:

.PHONY: help demo test test-quick test-newest test-latest test-dates test-deps check format generate bench soak lock dist clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## Simulator and exporter on this machine, without credentials; open the page it prints
	@.ci/venv
	@$(VENV)/bin/rtc-room-exporter demo $(ARGS)

test: ## Run the tests, in about ten minutes
	@.ci/venv dev
	@.ci/test $(ARGS)

test-quick: ## Run the tests that neither measure time nor start Prometheus or a browser, in about four minutes
	@.ci/venv dev
	@.ci/test-quick $(ARGS)

test-newest: ## Run the quick tests of the program itself on the newest Python of this machine
	@.ci/venv dev
	@.ci/test-newest

test-latest: ## Run the tests with the newest versions that pyproject.toml allows, in an environment of their own
	@VENV=$(VENV)-latest .ci/venv latest
	@VENV=$(VENV)-latest .ci/test $(ARGS)

test-dates: ## Run most tests on other dates, in other time zones, locales, folders and orders, in about ten minutes
	@.ci/venv dev
	@.ci/test-dates $(ARGS)

test-deps: ## Install the real programs that tests and checks use (Debian, Ubuntu; needs root or sudo)
	@.ci/test-deps

check: ## Lint, types, import contracts, documents, deployment files
	@.ci/venv dev
	@.ci/check

format: ## Format the code and mend what ruff can mend
	@.ci/venv dev
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix

generate: ## Write what is made from something else: the dashboards, and the rules for Kubernetes
	@.ci/venv dev
	@$(VENV)/bin/python -m grafana.generator
	@$(VENV)/bin/python -m deploy.generator

bench: ## Measure what a scrape costs, and print it beside its peers; ARGS=--quick for a first look
	@.ci/venv dev
	@$(VENV)/bin/python -m tests.benchmarks $(ARGS)

soak: ## Run the long editions of the tests
	@.ci/venv dev
	@$(VENV)/bin/python -m pytest -m soak --timeout=3600 $(ARGS)

lock: ## Pin whatever is installed from elsewhere, with hashes; ARGS=--upgrade takes newer versions
	@.ci/venv dev
	@.ci/lock $(ARGS)

dist: ## Build wheel, Helm chart and .deb into dist/; ARGS=wheel builds that one
	@.ci/venv dev
	@.ci/dist $(ARGS)

clean: ## Remove the virtual environments, dist/ and every cache
	@rm -rf .venv .venv-* dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
