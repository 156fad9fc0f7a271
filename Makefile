# Everything that contributors and CI run. `make demo` and `make test` need nothing but Debian 12 and this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest

.PHONY: demo test test-oldest check docs venv format protos clean

demo: venv  ## train on real flights on a local cluster, export, reload, go on training
	$(BIN)/python -m examples.flight_delays

test: venv  ## all tests, the multi-process ones too
	$(BIN)/python -m pytest

test-oldest:  ## all tests with the oldest TensorFlow that pyproject.toml admits; ARGUMENTS are pytest's
	scripts/test_oldest $(PYTHON) $(OLDEST) $(ARGUMENTS)

check: venv  ## what has to hold before a commit, but for the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/generate_protos --check

docs: venv  ## build the documentation into site/, strictly and without the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: venv  ## lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos:  ## generate the protocol code from its .proto files
	scripts/generate_protos

venv: $(VENV)/installed  ## make .venv, or bring it up to date, and nothing else

$(VENV)/installed: pyproject.toml scripts/make_venv
	scripts/make_venv $(PYTHON) $(VENV)
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build dist site demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
