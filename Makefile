# Everything that contributors and CI run. `make demo` and `make test` need nothing but Debian 12 and this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Half of the tests wait for processes that they have started.
WORKERS ?= $(shell expr 2 '*' $$(nproc))
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
OLDEST := .venv-oldest

# scripts/make_venv leaves compiling modules to their first import. With this variable every process would compile all
# of TensorFlow again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-oldest check docs venv format protos clean
# Two pips must not write to one virtual environment at the same time.
.NOTPARALLEL:

demo: $(VENV)/for-demo  ## train on real flights on a local cluster, export, reload, train on
	$(BIN)/python -m examples.flight_delays

test: $(VENV)/for-test  ## all tests, the multi-process ones too
	$(PYTEST)

test-fast: $(VENV)/for-test  ## those that start no job and no browser, and take no seconds each
	$(PYTEST) -m 'not cluster and not slow and not browser'

test-oldest:  ## all tests with the oldest TensorFlow that pyproject.toml allows; ARGUMENTS go to pytest
	PYTHON=$(PYTHON) scripts/debian_packages test
	scripts/test_oldest $(PYTHON) $(OLDEST) $(ARGUMENTS)

check: $(VENV)/for-check  ## what has to pass before a commit, beside the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/generate_protos --check

docs: $(VENV)/for-docs  ## build the documentation into site/, strictly and without the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(VENV)/for-check  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos:  ## generate the protocol code from its .proto files
	scripts/generate_protos

venv: $(VENV)/for-demo $(VENV)/for-check $(VENV)/for-test  ## make or update .venv with all of it, and run nothing

# A target installs what it needs and nothing else: the first time, and when these files have changed.
$(VENV)/for-%: pyproject.toml scripts/debian_packages scripts/make_venv
	PYTHON=$(PYTHON) scripts/debian_packages $*
	scripts/make_venv $(PYTHON) $(VENV) $*
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build dist site demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
