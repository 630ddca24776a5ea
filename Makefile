# Bare `make` lists the targets. Each brings about what it needs: a fresh clone starts with `make serve`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
# The first interpreter that is new enough makes the environment.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# How many run the Python tests: more than half of a test is waiting, for a server or a peer.
PROCESSES ?= 4

# What maturin tells PyO3's build script. Said here too, so that cargo and maturin share one build of
# it: a variable that differs compiles PyO3 again at each change of the caller.
export PYO3_PYTHON := $(PY)
export PYO3_BUILD_EXTENSION_MODULE := 1
CARGO = PYO3_ENVIRONMENT_SIGNATURE=$$($(PY) -c 'import struct, sys; print("%s-%d.%d-%dbit" % (sys.implementation.name, *sys.version_info[:2], 8 * struct.calcsize("P")))') cargo

RUST_SOURCES := $(shell find core-rs -name target -prune -o \( -name '*.rs' -o -name '*.sql' -o -name Cargo.toml \) -print)
SOURCES := $(RUST_SOURCES) $(wildcard ext/*.pyx) ext/build_backend.py pyproject.toml Cargo.toml Cargo.lock

.PHONY: help setup serve test test-rust test-python test-crash test-hostile test-openapi test-large test-web conformance lint format screens bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "test and bench compare with an Orthanc that ext/orthanc.sh unpacks into ~/.cache/vna; bench rather with the one that"
	@echo "VNA_ORTHANC names (run as PROGRAM CONFIG.json), VNA_ORTHANC_DIR being a folder that it can see, for the storage of both."

setup: $(VENV)/.built ## .venv with the release build: .venv/bin/vna runs

$(VENV)/.prerequisites: ext/prerequisites.sh
	@bash ext/prerequisites.sh build
	@mkdir -p $(@D) && touch $@

$(VENV)/.packages: requirements-dev.txt | $(VENV)/.prerequisites
	@test -n "$(PYTHON)$(wildcard $(PY))" || { echo "vna needs Python 3.11 or newer; say make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(VENV)/.built: $(SOURCES) $(VENV)/.packages
	$(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

serve: setup ## run the archive: HTTP on 127.0.0.1:8042, DICOM on port 4242, data in ./vna-data
	$(VENV)/bin/vna serve

test: test-rust test-python ## all tests; those in Python by PROCESSES=4 at once

# The folder, profile and features are those of the wheel, so that dependencies compile once: with vna-py,
# though its tests are the Python ones, and without a benchmark that wants more of `tracing`, and so another
# build of all that uses it.
test-rust: setup
	$(CARGO) test --release --workspace --exclude vna-bench-scan

test-python: setup $(VENV)/.test-tools
	$(PY) -m pytest --numprocesses=$(PROCESSES) --dist=loadscope

$(VENV)/.test-tools: ext/prerequisites.sh ext/orthanc.sh ext/cornerstone.sh $(wildcard tests/interop/cornerstone/*) | $(VENV)/.packages
	@bash ext/prerequisites.sh test
	@touch $@

test-crash: setup $(VENV)/.test-tools ## power cuts and kill -9 under load, many rounds (ROUNDS=50)
	VNA_POWER_CUT_SEEDS=$(or $(ROUNDS),50) $(CARGO) test --release -p vna-store --test store power_cut -- --ignored
	VNA_POWER_CUT_SEEDS=3 $(CARGO) test --release -p vna-node --test node power_cut
	VNA_CRASH_ROUNDS=$(or $(ROUNDS),50) $(PY) -m pytest -m crash tests/e2e

test-hostile: setup ## broken and lying pixel data of every codec, many cases (CASES=1000000)
	CASES=$(or $(CASES),1000000) $(CARGO) test --release -p vna-codec --test hostile -- --nocapture

test-large: setup $(VENV)/.test-tools ## STOW of objects past 2 GiB, 7 GB in all, with speed and memory (BYTES=2362232012)
	VNA_LARGE_BYTES=$(or $(BYTES),2362232012) $(PY) -m pytest -n0 -o log_cli=true --log-cli-level=INFO tests/e2e/test_dicomweb_large.py

conformance: setup $(VENV)/.test-tools ## the cases of PS3.18 against ours and Orthanc: docs/conformance-dicomweb.md
	$(PY) -m tests.conformance.dicomweb

test-openapi: setup $(VENV)/.test-tools ## schemathesis over /openapi.json, many requests of each operation (EXAMPLES=50)
	VNA_OPENAPI_EXAMPLES=$(or $(EXAMPLES),50) $(PY) -m pytest -n0 tests/e2e/test_openapi_requests.py

test-web: setup $(VENV)/.test-tools ## DICOMweb against models, long runs of what is drawn (EXAMPLES=200 STEPS=50 SEED=1)
	VNA_WEB_EXAMPLES=$(or $(EXAMPLES),200) VNA_WEB_STEPS=$(or $(STEPS),50) VNA_STORE_EXAMPLES=$(or $(EXAMPLES),200) \
		$(PY) -m pytest -n0 $(if $(SEED),--hypothesis-seed=$(SEED)) tests/property/test_dicomweb_*.py tests/property/test_web_search.py

$(VENV)/.lint-tools: ext/prerequisites.sh | $(VENV)/.packages
	@bash ext/prerequisites.sh lint
	@touch $@

lint: setup $(VENV)/.lint-tools ## formatters, linters, types, stubs, import direction
	cargo fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy.stubtest vna._core vna._elements
	$(PY) ext/lint/imports.py

format: setup $(VENV)/.lint-tools ## rewrite sources the way lint wants them
	cargo fmt --all
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

screens: setup ## take the screens of the README anew: docs/screens
	$(PY) docs/screens.py

bench: setup ## benchmarks; what they showed is kept in bench/RESULTS.md
	$(CARGO) build --release --workspace --exclude vna-py
	$(PY) -m bench

clean: ## remove what was built
	rm -rf $(VENV) build dist target vna/*.so
