# make demo   fit a real multilevel model to real data, in a private environment
# make test   the tests
# make docs   the documentation as a site, in build/site
# make guard  refuse kernels that are slower than recorded
# make check  everything that .ci/run checks
#
# Needs Python 3.11 or newer with its venv module, a C++20 compiler, and PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
CORE := $(wildcard core/*.cpp core/*.hpp) CMakeLists.txt pyproject.toml
BENCH_VENV := build/bench-venv

# The package is installed editable; its core is built incrementally in build/venv, with the build
# requirements of pyproject.toml installed in the environment itself.
BUILD := --no-build-isolation --config-settings=build-dir=build/venv

.PHONY: demo test check lint format types imports sanitize docs guard bench bench-setup clean

demo: $(VENV)/.demo
	@mkdir -p demo
	@$(BIN)/multilogit demo --output demo

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -q

check:
	@.ci/run

lint: $(VENV)/.dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/clang-format --dry-run -Werror core/*.cpp core/*.hpp

format: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i core/*.cpp core/*.hpp

types: $(VENV)/.dev
	@$(BIN)/mypy --strict src

imports: $(VENV)/.dev
	@$(BIN)/python tools/import_rules.py

sanitize: $(VENV)/.dev
	@VENV=$(VENV) tools/sanitize.sh

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

guard: $(VENV)/.dev
	@$(BIN)/python benchmarks/guard.py

bench: $(VENV)/.dev bench-setup
	@$(BIN)/python benchmarks/run.py

bench-setup: $(BENCH_VENV)/.peers

clean:
	@rm -rf $(VENV) $(BENCH_VENV) build dist

$(VENV)/.build: pyproject.toml tools/check_python.py
	@$(PYTHON) tools/check_python.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python tools/build_requirements.py > $(VENV)/build-requirements.txt
	@$(PIP) install -r $(VENV)/build-requirements.txt
	@touch $@

$(VENV)/.demo: $(VENV)/.build $(CORE)
	@$(PIP) install $(BUILD) -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.build $(CORE)
	@$(PIP) install $(BUILD) -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/.dev
	@$(PIP) install $(BUILD) -e '.[docs]'
	@touch $@

$(BENCH_VENV)/.peers: benchmarks/requirements.txt
	@$(PYTHON) tools/check_python.py
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip --quiet --disable-pip-version-check install -r $<
	@touch $@
