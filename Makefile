# Everything a developer types. `make` alone prints the list; the text after ## is what it prints.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint type check format bench fuzz soak golden clean

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
ARGS ?=
SINK ?= bridge
COVER = $(if $(strip $(ARGS)),,--cov --cov-report=)  # a part of the tests covers a part of the code: no gate

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## make .venv and install everything into it (again only when pyproject.toml changed)

.venv/installed: pyproject.toml
	@.ci/venv "$(PYTHON)" .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: setup ## replay a recorded shop's day into the sandbox (SINK=crm: the CRM; LIVE=1: a private MariaDB, until Ctrl-C)
	@$(BIN)/$(if $(filter-out 0,$(LIVE)),python -m tests.live_demo,magento-cdc demo) --sink $(SINK) $(ARGS)

test: setup ## run all tests, real servers included (ARGS="-k name", WORKERS=1)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(COVER) $(ARGS)

lint: setup ## style, formatting, direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

type: setup ## mypy, strict
	@$(BIN)/mypy

check: lint type test ## lint, type and test

format: setup ## put the code into the form that lint wants
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## measure against other readers of the log, on this machine (ARGS="decode" for one)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

fuzz: setup .venv/fuzz ## feed the decoder what a fuzzer thinks up, three minutes long (ARGS="--minutes 30 --target json")
	@$(BIN)/python -m tests.fuzz $(ARGS)

.venv/fuzz: pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,fuzz]'
	@touch $@

soak: setup ## repeat kills, restarts and random shops for hours, stop at the first failure (ARGS="--hours 8")
	@$(BIN)/python -m tests.soak $(ARGS)

golden: setup ## write the messages expected of every business event anew; look at the diff before you commit it
	@$(BIN)/python -m tests.write_golden

clean: ## remove .venv, caches and fetched servers
	@rm -rf .venv .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
