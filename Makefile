# `make` lists what there is. ARGS goes to the program behind a target: make test ARGS="-k pacing"
SHELL := /bin/bash
ARGS ?=

.NOTPARALLEL:

.PHONY: help demo test test-deps check format bench soak lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## Simulator and exporter on this machine, without credentials; open the page it prints
	@.ci/venv
	@.venv/bin/rtc-room-exporter demo $(ARGS)

test: ## Run the tests, in about four minutes
	@.ci/venv dev
	@.ci/test $(ARGS)

test-deps: ## Install the real programs that tests and checks use (Debian, Ubuntu; needs root or sudo)
	@.ci/test-deps

check: ## Lint, types, import contracts, documents, deployment files
	@.ci/venv dev
	@.ci/check

format: ## Format the code and mend what ruff can mend
	@.ci/venv dev
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

bench: ## Measure what a scrape costs, and print it beside its peers; ARGS=--quick for a first look
	@.ci/venv dev
	@.venv/bin/python -m tests.benchmarks $(ARGS)

soak: ## Run the long editions of the tests
	@.ci/venv dev
	@.venv/bin/python -m pytest -m soak --timeout=3600 $(ARGS)

lock: ## Pin what the image installs, with hashes, in deploy/*requirements.txt
	@.ci/venv dev
	@.ci/lock $(ARGS)

clean: ## Remove the virtual environment and every cache
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
