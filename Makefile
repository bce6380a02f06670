# make test | demo | fuzz: each sets up what it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
# Street world by default; `make demo BAG=path/to/bag` takes a recording.
BAG ?=
EXTRAS = ros,bags,onnx,openvino,fast,peer,trt-check,transformers,train,test

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: help install test lint demo clean

help:
	@echo 'make test             run the whole test suite'
	@echo 'make lint             ruff and mypy'
	@echo 'make demo [BAG=path]  play a drive through the real node and write demo/'
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

clean:
	rm -rf build demo *.egg-info
