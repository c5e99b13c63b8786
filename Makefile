# make demo · make test · make check            (details: README.md, CONTRIBUTING.md)
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/cpu.lock
THREADS ?= 2
export OMP_NUM_THREADS ?= $(THREADS)

SOAK := .venv-soak
MINUTES ?= 10
RUNS ?= 50

.PHONY: demo test check soak families install clean-demo system

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
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(THREADS) --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_arrows.py
	$(BIN)/lorasmith license environment

$(SOAK)/.installed: requirements/soak.lock
	test -x $(SOAK)/bin/python || $(PYTHON) -m venv $(SOAK)
	$(SOAK)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/soak.lock
	touch $@

soak: install $(SOAK)/.installed  # the long runs: 16 callers for MINUTES, one runner killed; 2,000 made-up requests; kills everywhere; RUNS publishes
	$(BIN)/python bench/soak.py --locust $(SOAK)/bin/locust --minutes $(MINUTES)
	$(BIN)/python -m tests.operations.soak
	$(BIN)/python -m tests.serving.app.fuzz --cases 2000
	$(BIN)/python -m tests.operations.kill_points
	$(BIN)/python -m tests.operations.full_disk
	$(BIN)/python -m tests.operations.queue_soak --runs $(RUNS)

families: install  # every family's proofs, on another diffusers with DIFFUSERS=0.43.0
	$(BIN)/python -m tests.training.try_diffusers $(if $(DIFFUSERS),diffusers==$(DIFFUSERS))

clean-demo:
	-LORASMITH_HOME=$(CURDIR)/.demo $(BIN)/lorasmith sandbox down
	rm -rf .demo
