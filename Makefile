# offpoll: `make demo` shows it, `make setup test` works on it. A fresh machine needs Python 3.11 or newer, with venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Arguments: make demo ONCE=1 PORT=9000; make bench QUICK=1; make test ARGS="-k polling"; make simulate OPERATIONS=20000 SEED=1
PORT ?= $(if $(ONCE),0,8000)
ARGS ?=
JOBS ?= auto
OPERATIONS ?= 100000
SEED ?=
MINUTES ?= 2

.PHONY: help setup demo test pythons bench explore simulate chaos lint scan docs clean

help:
	@echo "make setup   create $(VENV) with everything for development"
	@echo "make demo    an order goes in, its status is polled from object storage, the order comes out (ONCE=1: then end)"
	@echo "make test    all tests but those that need Ceph or nginx, on all cores (ARGS=…: for pytest; JOBS=0: in one process)"
	@echo "make pythons   the unit tests on every other Python from 3.11 on that is here (ARGS=3.13: on that one)"
	@echo "make bench   measure (QUICK=1: under 30 s each)"
	@echo "make explore   the protocol in every order of its calls, with every fault at every call (about 3 minutes on two cores)"
	@echo "make simulate  the whole system under faults, on virtual time (OPERATIONS=…, SEED=…)"
	@echo "make chaos     real processes, killed and frozen at random (MINUTES=…)"
	@echo "make lint    linters, types, layers, prose"
	@echo "make scan    the AWS template, by checkov (installs it once, 265 MB)"
	@echo "make docs    write the generated tables and pictures into docs/"
	@echo "make clean   remove what these made"

# Two stamps: the demo needs a part of what development does. Both follow the pinned versions; the sources are installed in place.
INSTALLED := $(VENV)/.demo
DEVELOPED := $(VENV)/.setup

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "offpoll needs Python 3.11 or newer; choose one with PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the demo needs into $(VENV) …"
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DEVELOPED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing everything for development into $(VENV) …"
	$(PIP) install 'pip>=25.1'
	$(PIP) install --constraint constraints.txt --editable '.[all]' --group test --group check --group bench
	@touch $@ $(INSTALLED)

setup: $(DEVELOPED)

demo: $(INSTALLED)
	@cd examples/orders && exec $(abspath $(BIN))/offpoll dev orders:app --port $(PORT) --data '$(CURDIR)/.offpoll' $(if $(ONCE),--once)

# The quick ones first: what is broken shows in seconds. 5 is pytest's "ARGS selected none of these".
test: $(DEVELOPED)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not ministack and not ceph' $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'ministack and not ceph and not nginx' $(ARGS) || [ $$? -eq 5 ]

pythons: $(DEVELOPED)
	$(BIN)/python .ci/pythons.py $(ARGS)

bench: $(DEVELOPED)
	@set -e; for bench in presign wire accept work imports polling wait_all calibration cold_start; do echo; echo "== $$bench"; $(BIN)/python -m bench.$$bench $(if $(QUICK),--quick); done

# What they are made of and what they find: docs/proofs.md.
explore: $(DEVELOPED)
	@$(BIN)/python -m proof.explore

simulate: $(DEVELOPED)
	@$(BIN)/python -m proof.simulate --operations $(OPERATIONS) $(if $(SEED),--seed $(SEED))

chaos: $(DEVELOPED)
	@$(BIN)/python -m proof.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

lint: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint --failure-threshold style Dockerfile
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python docs/prose.py

# checkov pins an old boto3, so it lives in an environment of its own (265 MB). What it may skip says why in the template's Metadata.
SCAN := build/scan
scan: $(DEVELOPED)
	@mkdir -p $(SCAN)
	@test -x $(SCAN)/venv/bin/checkov || { $(BIN)/python -m venv $(SCAN)/venv && $(SCAN)/venv/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30; }
	@$(BIN)/python -c 'import json; from tests.support.cloudformation import translated; print(json.dumps(translated()))' > $(SCAN)/template.json
	$(SCAN)/venv/bin/checkov -f $(SCAN)/template.json --framework cloudformation --skip-download --compact --quiet

docs: $(DEVELOPED)
	$(BIN)/python docs/settings_table.py
	$(BIN)/python docs/layers.py
	$(BIN)/python docs/walk.py --write

clean:
	rm -rf $(VENV) build dist .offpoll .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
