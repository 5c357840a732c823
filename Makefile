# Two commands on a fresh machine with Python 3.11+ and make: `make book`, `make test`.
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
# Of `make bench`; objectives and grading need none. make bench DEVICE=cuda
DEVICE ?= cpu
# Of `make serve`.
PORT ?= 8000
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help book serve work test exercises exercises-report grade bench experiments lock clean

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit(f"This course needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Name another with: make PYTHON=python3.11 …")'
	@echo "Making $(VENV) (once; torch is the large part) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q $(PIP_ARGS) "$$(grep '^torch==' requirements.lock)"
	@$(BIN)/python -m pip install -q $(PIP_ARGS) -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY)  ## build the site and say where to open it
	@$(BIN)/python book/build.py

serve: book  ## build the site and serve it on http://localhost:8000
	@$(BIN)/python book/serve.py $(PORT)

work: $(READY)  ## copy the notebooks to work/, where your answers are safe
	@mkdir -p work
	@for from in exercises/*/*.ipynb; do to="work/$${from##*/}"; \
		if [ -e "$$to" ]; then echo "$$to is there already"; else cp "$$from" "$$to" && echo "$$to"; fi; done
	@echo "Go on with: cd work && ../$(BIN)/jupyter lab"

test: $(READY)  ## style, types and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--ignore=tests/grading/sandbox/test_confinement.py
# Its tests fork; they want a process in which no other test has started threads.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/grading/sandbox/test_confinement.py

exercises: $(READY)  ## regenerate exercises/ from solutions/
	$(BIN)/python -m lmlib.grading.assignment

exercises-report: $(READY)  ## measure every exercise, and print and record what comes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.exercises.report

grade: $(READY)  ## grade the sample class with nbgrader and print the marks
	$(BIN)/python -m tests.grading.sample_class

bench: $(READY)  ## speed, as ratios side by side (minutes; keep the machine quiet)
	$(BIN)/python -m tests.benchmarks.grading
	$(BIN)/python -m tests.benchmarks.objectives
	$(BIN)/python -m tests.benchmarks.training --device $(DEVICE)
	$(BIN)/python -m tests.benchmarks.attention --device $(DEVICE)
	$(BIN)/python -m tests.benchmarks.packing --device $(DEVICE)
	$(BIN)/python -m tests.benchmarks.scoring --device $(DEVICE)
	$(BIN)/python -m tests.benchmarks.strong
	$(BIN)/python -m tests.benchmarks.coder
	$(BIN)/python -m tests.benchmarks.live

experiments: $(READY)  ## the runs that the recorded experiments lack (hours, if all)
	@set -e; for script in book/_experiments/[0-9]*.py; do $(BIN)/python $$script; done

lock:  ## write requirements.lock anew from pyproject.toml
	rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	_build/lock/bin/python -m pip install -q $(PIP_ARGS) torch==2.13.0
	_build/lock/bin/python -m pip install -q $(PIP_ARGS) -e '.[book,grade,cluster,compress,apps,tools,dev]' setuptools
	_build/lock/bin/python -m pip freeze --exclude-editable --all | grep -v '^pip==' | sed 's/+cpu$$//' > requirements.lock
	rm -rf _build/lock

clean:  ## remove everything that was built (the environment stays)
	rm -rf _build book/_build
