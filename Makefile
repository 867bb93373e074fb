# Two commands take a fresh clone to a result: `make study` and `make test`.
# They need Python 3.11 or newer, pip and make; everything else goes into .venv.

.POSIX:
.NOTPARALLEL:
.PHONY: help install study test lint types docs tests bench clean

VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
WORKERS = 2
SELECTED = -m "not slow"
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

help:
	@echo "make study   solve the digits GANs, write out/solver_limits/report.html"
	@echo "make test    lint, types, layers, docs, tests (all of them: make test SELECTED=)"
	@echo "make lint | types | docs | tests | bench | clean"

study: $(STAMP)
	$(BIN)/python -m analysis run solver_limits

test: lint types docs tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing/user_script.py

docs: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -E -b html -d docs/_build/doctrees docs docs/_build/html

# One thread a process: the workers share the cores. What is slow (tests/slow.txt) is left out: make tests SELECTED=
tests: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --durations=10 $(SELECTED) $(PYTEST_OPTIONS)

bench: $(STAMP)
	$(BIN)/python -m analysis.benchmarks.step_cost

install: $(STAMP)

# torch goes first, so that nothing else chooses its build; the package itself is built in place, with the
# pinned build tools and no isolated environment. The stamp is made last: an interrupted install starts again.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  found=""; \
	  for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$p"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "no Python 3.11 or newer found; try: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	  echo "making $(VENV) with $$found"; \
	  "$$found" -m venv $(VENV) >/dev/null 2>&1 || { \
	    rm -rf $(VENV); \
	    "$$found" -m venv --without-pip $(VENV); \
	    "$$found" -m pip --python $(BIN)/python install --quiet pip; \
	  }; \
	fi
	@echo "installing the pinned packages (minutes the first time)"
	$(INSTALL) torch
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation -e ".[dev]"
	@touch $(STAMP)

clean:
	rm -rf docs/_build docs/_generated build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find gamedyn analysis tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
