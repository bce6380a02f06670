# make test | demo | fuzz: each sets up what it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
# Street world by default; `make demo BAG=path/to/bag` takes a recording.
BAG ?=
# Hostile inputs for each target of `make fuzz`; minutes of `make soak` (CI: 5, a release: 60).
FUZZ_RUNS ?= 34000
SOAK_MINUTES ?= 5
EXTRAS = ros,bags,onnx,openvino,fast,peer,trt-check,transformers,train,test

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: help install test lint demo fuzz soak clean

help:
	@echo 'make test             run the whole test suite'
	@echo 'make lint             ruff and mypy'
	@echo 'make demo [BAG=path]  play a drive through the real node and write demo/'
	@echo 'make fuzz             hostile inputs for images, bags and weights (FUZZ_RUNS=34000 each)'
	@echo 'make soak             the node at 30 Hz: memory, ages, stale frames (SOAK_MINUTES=5)'
	@echo 'make install          only set up $(VENV)'

install: $(INSTALLED)

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13) and "Python 3.10 to 3.13 is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	# torch first and alone, at the version of the constraints: other packages then take it as it is.
	$(BIN)/pip install --quiet 'torch==$(shell sed -n "s/^torch==//p" constraints.txt)'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: install
	$(BIN)/python -m semdepth_ros.demo --output demo $(if $(BAG),--bag '$(BAG)')

fuzz: install
	$(BIN)/pip install --quiet 'atheris>=2.3'
	for target in image bag weights; do $(BIN)/python fuzz $$target --runs $(FUZZ_RUNS) || exit 1; done

soak: install
	$(BIN)/semdepth benchmark soak --minutes $(SOAK_MINUTES) --check

clean:
	rm -rf build demo *.egg-info
