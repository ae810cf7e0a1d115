# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. PYTHON=python3.12 make setup takes another interpreter.

SHELL := /bin/bash
INSTALLED := .venv/.installed
BUILT := install/.built
# With --symlink-install edited modules need no new build, new ones do.
SOURCES := package.xml CMakeLists.txt $(shell find msg srv t2g_ros t2g_core launch config -type f \
	-not -name '*.pyc')
CLIP ?=
RUNTIME ?= torch
STREET := out/street
EXPORTED := out/shipped_onnx
PYTEST_ARGS ?=
FAULT_FIGURES := out/fault_suite.md

CAMVID ?=

.PHONY: help setup demo test test-long test-faults compare docs lint clean

help:
	@echo "make setup              everything needed, into .venv, and the ROS package built"
	@echo "make demo               the node on a rendered street scene; results in out/demo"
	@echo "make demo CLIP=PATH     ... on a folder of images, a video file or a bag"
	@echo "make demo RUNTIME=onnx  ... without PyTorch: the shipped model's graphs in ONNX Runtime"
	@echo "make test               all tests (PYTEST_ARGS='-k node' for some)"
	@echo "make test-long          ... and those that take many seconds each"
	@echo "make test-faults        the fault suite in full, an hour: load, soak, fuzzing, signals"
	@echo "make compare CAMVID=DIR train all methods on a small budget, then compare: out/compare"
	@echo "make docs               the documentation as a site: out/site"
	@echo "make lint               ruff, and which package imports which"
	@echo "make clean              remove what was built (.venv stays)"

setup: $(BUILT)

$(INSTALLED): setup.py scripts/setup scripts/repair_ros_wheels.py
	@scripts/setup install
	@touch $@

$(BUILT): $(INSTALLED) $(SOURCES)
	@scripts/setup build
	@touch $@

demo: setup $(if $(filter onnx,$(RUNTIME)),$(EXPORTED))
	@. scripts/environment.sh && python -m t2g_ros.demo $(if $(CLIP),--clip "$(CLIP)") \
		$(if $(filter onnx,$(RUNTIME)),--checkpoint $(EXPORTED)) \
		$(if $(CAMERAS),--cameras $(CAMERAS) --frames 15 --out out/cameras)

$(EXPORTED): t2g_core/weights/time2general_small_camvid.safetensors | setup
	@. scripts/environment.sh && t2g export --out $@ && touch $@

test: setup
	@. scripts/environment.sh && OMP_NUM_THREADS=1 python -m pytest -o testpaths=test -n 2 \
		--dist loadfile -m "not long" $(PYTEST_ARGS)

test-long: setup
	@. scripts/environment.sh && OMP_NUM_THREADS=1 python -m pytest -o testpaths=test -n 2 \
		--dist loadfile $(PYTEST_ARGS)

# An hour: ten minutes under load, half an hour's soak, a hundred signals and lifecycles.
test-faults: setup
	@mkdir -p out && rm -f $(FAULT_FIGURES)
	@. scripts/environment.sh && T2G_FAULT_FIGURES="$(CURDIR)/$(FAULT_FIGURES)" OMP_NUM_THREADS=1 \
		python -m pytest -o testpaths=test test/faults test/ros/test_security.py $(PYTEST_ARGS)
	@echo "the figures are in $(FAULT_FIGURES)" && cat $(FAULT_FIGURES)

# Hours on a CPU; stopped and called again, it goes on where it was.
compare: setup $(STREET)/val
	@[ -d "$(CAMVID)/train" ] || { echo "make compare CAMVID=DIR: no folder $(CAMVID)/train"; exit 2; }
	@. scripts/environment.sh && \
		t2g compare config/compare/camvid_and_street.yaml --root camvid="$(CAMVID)" \
		--root street=$(STREET) --out out/compare

$(STREET)/val: | setup
	@. scripts/environment.sh && \
		t2g scene $(STREET) --split train --frames 120 --size 384 288 --seed 7 && \
		t2g scene $(STREET) --split val --frames 60 --size 384 288 --seed 8

docs: $(INSTALLED)
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build && echo "the site is out/site/index.html"

lint: $(INSTALLED)
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && \
		.venv/bin/lint-imports scripts/importlinter.ini --no-cache

clean:
	rm -rf build install log
