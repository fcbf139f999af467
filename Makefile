# The developer interface of hiermod. `make help` lists the targets.
# Needs make and Python 3.11 to 3.13; choose another one with `make PYTHON=python3.12 test`.

PYTHON ?= python3
# Python 3.12 or 3.13 for `make test-arviz1`; found by itself if it is in a usual place.
PYTHON313 ?=
# Further options of `make bench` and the other targets that measure, and of `coverage`.
BENCH ?=

VENV := .venv
BIN := $(VENV)/bin
VENV_BENCH := .venv-bench
VENV_ARVIZ1 := .venv-arviz1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

# $(call install,VENV,PYTHON,EXTRAS): the virtual environment with hiermod, editable.
define install
	@echo "Installing hiermod[$(3)] in $(1) (the first time takes some minutes)"
	@$(2) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  "hiermod needs Python 3.11 to 3.13, $(2) is %d.%d: make PYTHON=python3.12 ..." % v)'
	@$(2) -m venv $(1)
	@$(1)/bin/python -m pip install -q -e '.[$(3)]'
	@touch $@
endef

# Prints the first interpreter that runs and is new enough for ArviZ 1.
FIND_ARVIZ1_PYTHON = for p in "$(PYTHON313)" python3.13 python3.12 \
	"$$HOME"/.pyenv/versions/3.13*/bin/python "$$HOME"/.pyenv/versions/3.12*/bin/python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo "$$p" && exit; done

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(VENV)/.installed-dev: pyproject.toml
	$(call install,$(VENV),$(PYTHON),dev)

$(VENV)/.installed-docs: pyproject.toml $(VENV)/.installed-dev
	$(call install,$(VENV),$(PYTHON),docs)

$(VENV_BENCH)/.installed: benchmarks/requirements.txt
	@echo "Installing the peers in $(VENV_BENCH)"
	@$(PYTHON) -m venv $(VENV_BENCH)
	@$(VENV_BENCH)/bin/python -m pip install -q -r $<
	@touch $@

$(VENV_ARVIZ1)/.installed-dev: pyproject.toml
	$(call install,$(VENV_ARVIZ1),$(shell $(FIND_ARVIZ1_PYTHON)),dev)

.PHONY: install
install: $(VENV)/.installed-dev ## .venv with hiermod and the developer tools

.PHONY: example
example: $(VENV)/.installed-dev ## fit the reed frogs; figures and tables go to output/
	@mkdir -p output
	@$(BIN)/python examples/reedfrogs.py

.PHONY: test
test: $(VENV)/.installed-dev ## all tests and the examples in the docstrings, in two processes
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

.PHONY: arviz1-python
arviz1-python: ## print the Python that test-arviz1 uses
	@p=$$($(FIND_ARVIZ1_PYTHON)); if [ -n "$$p" ]; then echo "$$p"; else \
	  echo "No Python 3.12 or 3.13 found: make PYTHON313=/path/to/python ..." >&2; exit 1; fi

.PHONY: test-arviz1
test-arviz1: arviz1-python $(VENV_ARVIZ1)/.installed-dev ## the fast tests with ArviZ 1.x
	@$(VENV_ARVIZ1)/bin/python -m pytest -q -n 2 --dist loadfile -m "not density" tests/unit

.PHONY: lint
lint: $(VENV)/.installed-dev ## format, lint, types
	@failed=0; for tool in "ruff format --check" "ruff check" mypy; do \
	  $(BIN)/$$tool || failed=1; done; exit $$failed

.PHONY: format
format: $(VENV)/.installed-dev ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(VENV)/.installed-docs ## the documentation, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: bench
bench: $(VENV)/.installed-dev $(VENV_BENCH)/.installed ## speed against other packages; BENCH="--models radon --resume"
	@$(BIN)/python benchmarks/run.py --peers $(VENV_BENCH)/bin/python $(BENCH)

.PHONY: bench-seeds
bench-seeds: $(VENV)/.installed-dev ## diagnostics of many seeds; BENCH="--models radon --seeds 5"
	@$(BIN)/python benchmarks/seeds.py $(BENCH)

.PHONY: bench-gradient
bench-gradient: $(VENV)/.installed-dev ## one gradient of a million rows against NumPy and C
	@$(BIN)/python benchmarks/gradient.py $(BENCH)

.PHONY: bench-families
bench-families: $(VENV)/.installed-dev ## one gradient of every family against its log density by hand
	@$(BIN)/python benchmarks/families.py $(BENCH)

.PHONY: bench-shortcuts
bench-shortcuts: $(VENV)/.installed-dev ## one gradient against the number of rows, shortcuts on and off
	@$(BIN)/python benchmarks/shortcuts.py $(BENCH)

.PHONY: bench-centring
bench-centring: $(VENV)/.installed-dev ## conditioned effects beside centred and non-centred ones
	@$(BIN)/python benchmarks/centring.py $(BENCH)

.PHONY: bench-samplers
bench-samplers: $(VENV)/.installed-dev ## hiermod's HMC beside other metrics, NUTS, SNAPER and ChEES
	@$(BIN)/python benchmarks/samplers.py $(BENCH)

.PHONY: bench-docs
bench-docs: $(VENV)/.installed-dev ## docs/benchmarks.md from the stored results
	@$(BIN)/python benchmarks/render.py

.PHONY: calibration
calibration: $(VENV)/.installed-dev ## simulation-based calibration
	@$(BIN)/python benchmarks/calibration.py

.PHONY: coverage
coverage: $(VENV)/.installed-dev ## do intervals cover the truth? an hour; BENCH="--cases gamma --resume"
	@$(BIN)/python benchmarks/coverage.py $(BENCH)

.PHONY: clean
clean: ## remove everything that make has made
	rm -rf $(VENV) $(VENV_BENCH) $(VENV_ARVIZ1) build dist output site
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
