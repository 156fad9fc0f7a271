# Everything that contributors and CI run. `make demo` and `make test` need nothing but Debian 12 and this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest

# The virtual environment comes without compiled modules, see scripts/make_venv: who may not keep them compiles all of
# TensorFlow in every process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-oldest check venv format protos clean
# Two pips in one virtual environment are in each other's way.
.NOTPARALLEL:

demo: $(VENV)/for-demo  ## train on real flights on a local cluster, export, reload, go on training
	$(BIN)/python -m examples.flight_delays

test: $(VENV)/for-test  ## all tests, the multi-process ones too
	$(BIN)/python -m pytest

test-oldest:  ## all tests with the oldest TensorFlow that pyproject.toml admits; ARGUMENTS are pytest's
	PYTHON=$(PYTHON) scripts/debian_packages test
	scripts/test_oldest $(PYTHON) $(OLDEST) $(ARGUMENTS)

check: $(VENV)/for-check  ## what has to hold before a commit, but for the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/generate_protos --check

format: $(VENV)/for-check  ## lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos:  ## generate the protocol code from its .proto files
	scripts/generate_protos

venv: $(VENV)/for-demo $(VENV)/for-check $(VENV)/for-test  ## make .venv, or bring it up to date, and nothing else

# Of each target what it needs and nothing else, the first time and when that has changed.
$(VENV)/for-%: pyproject.toml scripts/debian_packages scripts/make_venv
	PYTHON=$(PYTHON) scripts/debian_packages $*
	scripts/make_venv $(PYTHON) $(VENV) $*
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
