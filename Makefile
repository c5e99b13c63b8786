# make demo · make test · make check            (details: README.md, CONTRIBUTING.md)
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/cpu.lock
THREADS ?= 2
export OMP_NUM_THREADS ?= $(THREADS)

.PHONY: demo test check families install clean-demo system

install: $(VENV)/.installed

$(VENV)/.installed: $(LOCK) pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install
	LORASMITH_HOME=$(CURDIR)/.demo $(BIN)/lorasmith publish examples/emoji/job.yaml --target sandbox

system:
	@$(PYTHON) tests/system.py

test: install system
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_arrows.py
	$(BIN)/lorasmith license environment

families: install  # every family's proofs, on another diffusers with DIFFUSERS=0.43.0
	$(BIN)/python -m tests.training.try_diffusers $(if $(DIFFUSERS),diffusers==$(DIFFUSERS))

clean-demo:
	-LORASMITH_HOME=$(CURDIR)/.demo $(BIN)/lorasmith sandbox down
	rm -rf .demo
