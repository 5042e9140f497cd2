# samebits: each target is one command that can be repeated. `make help` lists them.
# PYTHON=python3.12 make …   makes .venv with another Python than the first fitting one on PATH.
# make setup TORCH=cpu       takes torch's CPU build, from PyTorch's index or from TORCH_INDEX=ADDRESS-OR-FOLDER; without
#                            TORCH it is taken where there is no GPU and that index answers. TORCH=locked takes the lock's.
# make setup EXTRAS=ui,sweep takes these extras of pyproject.toml alone; EXTRAS=none none. Later calls keep to it.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

OUTSIDE := $(PATH)
BIN := $(CURDIR)/.venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
export PATH := $(BIN):$(PATH)
# A PYTHONPATH or PYTHONHOME of the caller's would put foreign packages before the locked ones.
unexport PYTHONPATH
unexport PYTHONHOME
export PYTHON

TYPES := mypy --no-error-summary
# Threads that wait must not spin while another test has the core. Durations are printed, and kept in .test-results.
# Targets that need the tools for development bring them in.
lint test test-slow test-full types format generate docs hooks: export EXTRAS ?= dev
PYTEST := OMP_WAIT_POLICY=passive python -m pytest --durations=40 --durations-min=1
# Fast tests keep one core busy each. Slow ones also wait for servers and for DVC: one more than there are cores.
FAST := $(PYTEST) -n logical --maxprocesses 4 --dist worksteal --junitxml .test-results/fast.xml
CORES := $$(getconf _NPROCESSORS_ONLN)
SLOW := $(PYTEST) -n $$(($(CORES) < 4 ? $(CORES) + 1 : 4)) --dist loadscope --no-loadscope-reorder --junitxml .test-results/slow.xml
ALONE := $(PYTEST) -n 0 --junitxml .test-results/alone.xml
# $(call marked,MARK): the test modules in which it stands. Others need not be imported, which takes a while.
marked = $$(grep -rl --include='test_*.py' 'mark\.$(1)\b' tests)

# $(call step,NAME,COMMAND): runs it; if it fails, make ends with a line that says which step it was.
step = { $(2); } || { code=$$?; echo "make $@: $(1) failed (exit code $$code)" >&2; exit $$code; }

.PHONY: help setup repro test test-slow test-full durations lint types format generate docs hooks ui bench lock clean

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install requirements.lock into .venv with uv, where that is not done
	@$(call step,the set-up,PATH='$(OUTSIDE)' tools/environment.sh)

repro: setup ## run the pipeline (prepare, train, evaluate, export) and show what came out
	@$(call step,dvc repro,dvc repro)

# mypy keeps one core busy while pytest begins.
test: setup lint ## ruff, mypy and the fast tests: under 5 minutes on 2 cores
	@{ $(call step,mypy,$(TYPES)); } & types=$$!; \
	failed=0; ($(call step,pytest,$(FAST))) || failed=$$?; \
	wait $$types || failed=$$?; exit $$failed

# Those marked `alone` depend on moments, so each has the machine to itself.
test-slow: setup ## the tests that take longer: whole runs, kills, compared bytes
	@$(call step,pytest,$(SLOW) -m 'slow and not alone' $(call marked,slow))
	@$(call step,pytest (one after the other),$(ALONE) -m alone $(call marked,alone))

test-full: export TEST_FULL := 1
test-full: test test-slow ## ruff, mypy and every test, with more kills and more made-up inputs than test-slow has

durations: ## write tests/durations.json, by which long tests start first, from the last runs' results
	@$(call step,the durations,python -m tests.helpers.durations .test-results/slow.xml)

lint: setup ## ruff: findings and format; import-linter: who may import whom
	@$(call step,ruff check,ruff check --quiet .)
	@$(call step,ruff format (make format mends it),ruff format --quiet --check .)
	@$(call step,import-linter,lint-imports --no-logo >/dev/null || lint-imports --no-logo)

types: setup ## mypy, strict
	@$(call step,mypy,$(TYPES))

format: setup ## let ruff mend what it can
	@$(call step,ruff check,ruff check --fix .)
	@$(call step,ruff format,ruff format .)

generate: setup ## the pages and notebooks that are made from the code
	@$(call step,the pages and notebooks,python -m tools.generate --write)

docs: setup ## the site of docs/, in build/site; a link that leads nowhere is an error
	@$(call step,the site,python tools/site.py --build)

hooks: setup ## run the checks of .pre-commit-config.yaml before each commit
	@$(call step,pre-commit,pre-commit install)

ui: setup ## open the MLflow UI on this project's store; Ctrl-C ends it
	@exec samebits ui

# BENCH='--only training,input --rounds 3' measures a part; the page keeps what was measured before.
BENCH ?=
bench: setup ## measure speed next to other trainers, and write docs/performance.md (over an hour)
	@$(call step,the benchmark,python bench/performance.py $(BENCH))

# Only for whoever changes pyproject.toml, with the uv of .venv or another one. Versions already locked stay as they are:
#   make lock                                   after an edit of the ranges; then make setup
#   make lock UPGRADE='--upgrade-package mlflow' or UPGRADE=--upgrade for everything
UV ?= uv
UPGRADE ?=
lock: ## write requirements.lock anew from pyproject.toml
	@command -v $(UV) >/dev/null || { echo "make lock: there is no uv; get it with: make setup" >&2; exit 1; }
	@$(call step,uv,$(UV) pip compile pyproject.toml --extra dev --output-file requirements.lock \
	    --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet $(UPGRADE))

clean: ## remove .venv and the caches of the tools; data, models and runs stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .test-results build src/samebits.egg-info
	@find src stages tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
