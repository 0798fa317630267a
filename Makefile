# make demo   an environment, the package, and the main job on the embedded digits
# make test   the same environment with the test tools, then every check
# make test-all   also the tests that are slow or need a GPU, and other people's networks to
#                 compare with (torchvision, timm, Keras)
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-all format check clean

demo: $(VENV)/installed
	$(BIN)/reslab train digits --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: check
	$(BIN)/python -m pytest

test-all: check $(VENV)/installed-reference
	$(BIN)/python -m pytest -m "slow or gpu or not slow"

check: $(VENV)/installed-test
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

# Without their dependencies: all that these two need is there, and they would bring another torch.
$(VENV)/installed-reference: $(VENV)/installed-test
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[reference]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.31
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
