# One command for each chore. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help build guided demo test check bench clean
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing is written outside this folder; a cache that you name is used all the same.
export PIP_CACHE_DIR ?= $(CURDIR)/build/pip

# What the environment is made from: when one of these is newer than the stamp, it is made again.
SOURCES := pyproject.toml setup.py clients/pyproject.toml \
	$(wildcard engine/*.pyx engine/*.pxd engine/*/*.pyx engine/*/*.pxd provisioner/agent/native/*.c provisioner/agent/native/*.h) \
	$(wildcard provisioner/agent/native/build.py)
STAMP := $(VENV)/.installed

help:
	@echo "make build             the environment .venv with everything in it"
	@echo "make guided            the engine compiled once more, by what a market's day was seen to take: for servers"
	@echo "make demo              an exchange, Barons and a market maker on this machine; ONCE=1 tells the story by itself"
	@echo "make test              every test (ARGS='-k name' to choose)"
	@echo "make check             format, lint, types, tidiness, the committed API document"
	@echo "make bench NAME=jobs   a benchmark (ARGS='--quick'); without NAME, the list"
	@echo "make clean             remove the environment and what builds left"

build: $(STAMP)

$(STAMP): $(SOURCES)
	@.ci/system-packages build
	@$(PY) -m pip --version >/dev/null 2>&1 || "$$(.ci/find-python)" -m venv --clear $(VENV)
	@echo "Installing hourbook into $(VENV); the first time takes a minute or two."
	@$(PY) -m pip install -q -e ./clients -e '.[dev]'
	@touch $@

# Counts of another build would mislead: the first thing is to forget them. The second build's modules are the first's no more.
guided: build
	@echo "Compiling the engine twice, with a day of a market between; it takes two to five minutes."
	@mkdir -p build && find build -name '*.gcda' -delete
	HOURBOOK_PROFILE=generate $(PY) setup.py -q build_ext --inplace --force
	$(PY) -m bench.machines.day
	HOURBOOK_PROFILE=use $(PY) setup.py -q build_ext --inplace --force

demo: build
	@.ci/system-packages demo
	@$(BIN)/monarch demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

test: build
	@.ci/system-packages test
	$(PY) $(if $(strip $(ARGS)),-m pytest $(ARGS),.ci/tests)

check: build
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint engine
	$(PY) -m pytest -q tests/tidy
	$(PY) -m exchange.gateway.openapi --check docs/openapi.json
	$(PY) -m exchange.gateway.ws.asyncapi --check docs/asyncapi.json
	$(PY) -m exchange.gateway.error_document --check docs/errors.md

bench: build
	@$(PY) -m bench $(NAME) $(ARGS)

# The demo's data stays: a sandbox that a killed demo left behind is known by it alone, and the next demo removes it.
clean:
	rm -rf $(VENV) build dist clients/build clients/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/out
	rm -rf provisioner/agent/native/bin hourbook_exchange.egg-info clients/hourbook.egg-info
	find engine \( -name '*.so' -o -name '*.c' -o -name '*.cpp' \) -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
