# make demo   an environment, the package, and the main job on the embedded digits
# make test   the same environment with the test tools, then every check
# make test-numerics   the tests of numbers again: as a processor without AVX-512 computes them,
#                 and without the compiled kernels
# make test-all   also the tests that are slow or need a GPU, and other people's networks to
#                 compare with (torchvision, timm, transformers, Keras)
# make docs   the documentation as a site in build/site; a link that leads nowhere is an error
# make bench  measure side by side with other people's programs on this machine, for an hour or so:
#                 make bench DATA=cifar10-jpeg.tar.gz, or CASES="train-resnet20 load"
# make bench-smoke   the same in minutes and on tiny images: whether it works, not how fast it is
# make bench-gpu     training on a GPU beside PyTorch as others write it, in under 8 minutes
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# Tests run in a process for each core, four at most: each holds torch and some networks.
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses 4 --dist worksteal
PROCESSES ?= auto
NUMERICS = $(addprefix tests/,kernels networks look analyze predict contracts)

.PHONY: demo test test-numerics test-all docs bench bench-smoke bench-gpu format check clean

demo: $(VENV)/installed
	$(BIN)/reslab train digits --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: check
	$(PYTEST)

# On other processors than x86 the first pass is the default one again, without the flag.
test-numerics: $(VENV)/installed-test
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
	    RESLAB_NATIVE_FLAGS=$(if $(filter x86_64,$(shell uname -m)),-mno-avx512f) $(PYTEST) $(NUMERICS)
	RESLAB_NATIVE=0 $(PYTEST) $(NUMERICS)

test-all: check $(VENV)/installed-reference
	$(PYTEST) -m "slow or gpu or not slow"

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(VENV)/installed-bench
	$(BIN)/python -m bench $(CASES) $(if $(DATA),--data $(DATA))

bench-smoke: $(VENV)/installed-bench
	$(BIN)/python -m bench $(CASES) --quick --out build/bench-smoke

bench-gpu: $(VENV)/installed
	$(BIN)/python -m bench.gpu --out bench/results/gpu $(CASES)

check: $(VENV)/installed-test
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/ruff check src tests bench examples
	$(BIN)/mypy
	@find src/reslab -name '*.py' -exec wc -l {} + | awk '$$2 != "total" { split($$2, part, "/"); \
	    lines[part[3]] += $$1; all += $$1 } END { for (name in lines) if (name !~ /[.]py$$/) \
	    printf "%6d %s\n", lines[name], name; printf "%6d lines of Python\n", all }' | sort -n

format: $(VENV)/installed-test
	$(BIN)/ruff format src tests bench examples
	$(BIN)/ruff check --fix src tests bench examples

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

# Without their dependencies: all that these need is there, and they would bring another torch.
$(VENV)/installed-reference: $(VENV)/installed-test
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[reference]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.31 \
		transformers==5.24.0 tokenizers==0.23.3 regex==2026.5.9
	touch $@

$(VENV)/installed-bench: $(VENV)/installed-reference
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[onnx,openvino]'
	touch $@

$(VENV)/installed-docs: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt 'mkdocs-material>=9.6,<10'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
