# Needs Python 3.11 or newer, make and pip; everything else goes into .venv.
# Other names for things, if wanted:  make test PYTHON=python3.12
#                                     make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
# From where torch is taken; empty: from where pip takes everything.
TORCH_INDEX ?=
EXTRAS := dev,parquet,plots,tensorboard,dask
JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv bare-venv demo test check lint clean

help: ## show this list
	@echo "make demo    train on the shipped molecules for some minutes, generate, draw (folder demo/)"
	@echo "make test    the whole test suite"
	@echo "make check   ruff, mypy and the fast tests"
	@echo "make lint    ruff and mypy"
	@echo "make venv    only the environment (.venv); the others make it when it is not there"
	@echo "make clean   remove what builds and tests leave behind (not .venv, not demo/)"
	@echo
	@echo "PYTHON=python3.12      another Python (3.11 or newer)"
	@echo "TORCH_INDEX=URL        another source of torch; on Linux without a GPU"
	@echo "                       https://download.pytorch.org/whl/cpu is the small download"
	@echo "JOBS=4                 so many test processes (2)"

venv: $(STAMP)

# torch comes first and pinned: asked for by another package, pip would be free to take another one.
$(STAMP): constraints.txt pyproject.toml
	@$(MAKE) --no-print-directory bare-venv
	$(PIP) install -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) \
		"$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

# An environment with nothing in it but pip; one that is whole already is left alone. Stock Debian
# has no venv, and where that fails it leaves half an environment behind: hence --clear.
bare-venv:
	@if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null; then \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
			echo "molae needs Python 3.11 or newer; name one with: make PYTHON=python3.12" >&2; \
			exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 \
		|| $(PYTHON) -m virtualenv --clear $(VENV) >/dev/null 2>&1 \
		|| virtualenv --clear --python $(PYTHON) $(VENV) >/dev/null 2>&1 || { \
			echo "Neither venv nor virtualenv works with $(PYTHON): install one of them" \
				"(Debian and Ubuntu: sudo apt install python3-venv)." >&2; \
			exit 1; }; \
	fi

demo: $(STAMP)
	$(BIN)/molae demo -o demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -q

check: lint
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find molae cli grammars data tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
