# samebits: each target is one command that can be repeated. `make help` lists them.
# PYTHON=python3.12 make …   makes .venv with another Python than the first fitting one on PATH.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/.venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
export PATH := $(BIN):$(PATH)
# A PYTHONPATH or PYTHONHOME of the caller's would put foreign packages before the locked ones.
unexport PYTHONPATH
unexport PYTHONHOME
export PYTHON

# Most fast tests keep one core busy, or wait. Threads of those that use more must not spin while another test has the core.
# The slow ones kill processes at moments, so each has the machine to itself.
AT_ONCE := OMP_WAIT_POLICY=passive python -m pytest -n logical --maxprocesses 4 --dist worksteal

# $(call step,NAME,COMMAND): runs it; if it fails, make ends with a line that says which step it was.
step = { $(2); } || { code=$$?; echo "make $@: $(1) failed (exit code $$code)" >&2; exit $$code; }

.PHONY: help setup repro test test-slow test-all lint types format generate hooks ui bench lock clean

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv and install requirements.lock into it, where that is not done
	@$(call step,the set-up,tools/environment.sh)

repro: setup ## run the pipeline (prepare, train, evaluate, export) and show what came out
	@$(call step,dvc repro,dvc repro)
	@$(call step,the summary,samebits summary)

test: setup lint types ## ruff, mypy and the fast tests: 7 minutes on 2 cores
	@$(call step,pytest,$(AT_ONCE))

test-slow: setup ## the tests that take minutes: whole runs, kills, compared bytes
	@$(call step,pytest,python -m pytest -m slow)

test-all: test test-slow ## ruff, mypy and every test

lint: setup ## ruff: findings and format; import-linter: who may import whom
	@$(call step,ruff check,ruff check --quiet .)
	@$(call step,ruff format (make format mends it),ruff format --quiet --check .)
	@$(call step,import-linter,lint-imports --no-logo >/dev/null || lint-imports --no-logo)

types: setup ## mypy, strict
	@$(call step,mypy,mypy --no-error-summary)

format: setup ## let ruff mend what it can
	@$(call step,ruff check,ruff check --fix .)
	@$(call step,ruff format,ruff format .)

generate: setup ## docs/parameters.md, from the code
	@$(call step,the parameters page,python tools/document_params.py --write)

hooks: setup ## run the checks of .pre-commit-config.yaml before each commit
	@$(call step,pre-commit,pre-commit install)

ui: setup ## open the MLflow UI on this project's store; Ctrl-C ends it
	@exec samebits ui

# BENCH='--only training,input --rounds 3' measures a part; the page keeps what was measured before.
BENCH ?=
bench: setup ## measure speed next to other trainers, and write docs/performance.md (over an hour)
	@$(call step,the benchmark,python bench/performance.py $(BENCH))

# Only for whoever changes pyproject.toml; needs uv (pip install uv). Versions already locked stay as they are:
#   make lock                                   after an edit of the ranges
#   make lock UPGRADE='--upgrade-package mlflow' or UPGRADE=--upgrade for everything
UV ?= uv
UPGRADE ?=
lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock: there is no uv; get it with: pip install uv" >&2; exit 1; }
	@$(call step,uv,$(UV) pip compile pyproject.toml --extra dev --output-file requirements.lock \
	    --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet $(UPGRADE))

clean: ## remove .venv and the caches of the tools; data, models and runs stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build src/samebits.egg-info
	@find src stages tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
