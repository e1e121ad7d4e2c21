# Needs GNU make (3.81 or newer), Python >= 3.11 and pip; everything else goes into .venv.
# All paths are relative, so that the checkout may lie in a folder with spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.hpsuite-installed
# Lies in .venv while an installation runs; one found there means that it was cut short.
UNFINISHED := $(VENV)/.hpsuite-unfinished
LOG := $(VENV)/install.log
NEEDED := .[dev]
EVERYTHING := .[dev,dashboard,ray]
# Two files of tests at a time: each starts processes of its own.
PARALLEL := --numprocesses 2 --dist loadfile
PIP := $(RUN) -m pip --disable-pip-version-check --no-input

RECENT := import sys; sys.exit(sys.version_info < (3, 11))
# The first Python >= 3.11; looked for only when .venv is made. Another one: make PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if "$$python" -c "$(RECENT)" >/dev/null 2>&1; then echo "$$python"; break; fi; done)

# $(call make_venv,OPTIONS,WHAT): says what is done and how long it takes. Some systems ship Python
# without `ensurepip`; there the system's own pip puts pip into .venv.
define make_venv
python="$(PYTHON)"; \
if [ -z "$$python" ] || ! "$$python" -c "$(RECENT)" >/dev/null 2>&1; then \
	echo "hpsuite needs Python >= 3.11: found none$${python:+ at PYTHON=$$python}; install one," \
		"or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; exit 1; fi; \
echo "Installing $(2) into $(VENV): about two minutes and 6 GB, most of it PyTorch ..."; \
if "$$python" -c "import ensurepip" >/dev/null 2>&1; \
then "$$python" -m venv $(1) $(VENV); \
else "$$python" -m venv $(1) --without-pip $(VENV) && \
	"$$python" -m pip --python $(RUN) install --quiet pip; fi
endef

# $(call install,ARGUMENTS): pip's many lines go to a log, whose end is shown where it fails. A
# failure before pip changed anything (no network, say) leaves .venv as it was.
define install
touch $(UNFINISHED) && \
{ $(PIP) install --progress-bar off $(1) >$(LOG) 2>&1 || { tail -n 15 $(LOG) >&2; \
	grep -q "^Installing collected packages" $(LOG) || rm -f $(UNFINISHED); \
	echo "The installation failed; all of its output is in $(LOG)" >&2; exit 1; }; } && \
rm -f $(UNFINISHED) && touch $(STAMP)
endef

.PHONY: help
help: ## list these targets
	@echo "usage: make TARGET [ARGS='...'] [PYTHON=...]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | \
		while IFS='	' read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(STAMP) ## make .venv with the tested versions (about two minutes and 6 GB, once)
	@echo "$(VENV) is ready."

$(STAMP): pyproject.toml constraints.txt
	@if [ -e $(STAMP) ] && [ ! -e $(UNFINISHED) ]; then \
		echo "Bringing $(VENV) up to date with pyproject.toml and constraints.txt ..."; \
	else \
		clear=; if [ -e $(UNFINISHED) ]; then clear=--clear; fi; \
		$(call make_venv,$$clear,the tested versions); \
	fi
	@$(call install,-c constraints.txt -e '$(NEEDED)')

.PHONY: quickstart
quickstart: $(STAMP) ## run the first experiment (ARGS: overrides, as in ARGS='repeats=2')
	@$(RUN) -m hpsuite +experiment=quickstart $(ARGS)

.PHONY: ui
ui: $(STAMP) ## show the runs of this folder in MLflow's UI (ARGS: another database, --port)
	@$(RUN) -m hpsuite.tracking.ui $(ARGS)

.PHONY: test
test: $(STAMP) ## run the quick tests (ARGS: pytest options, as in ARGS='-k journal')
	@$(RUN) -m pytest -m "not slow and not gpu and not browser" $(PARALLEL) $(ARGS)

.PHONY: test-browser
test-browser: $(STAMP) ## what a user sees, in a real Chromium (Debian: apt-get install chromium)
	@$(RUN) -m pytest -m browser $(ARGS)

.PHONY: test-all
test-all: $(STAMP) ## run all tests; those for a GPU are skipped where there is none
	@$(RUN) -m pytest $(ARGS)

.PHONY: nightly
nightly: $(STAMP) ## compare this commit with the nights before it (ARGS: as in ARGS='--parts speed')
	@$(RUN) -m benchmarks.nightly $(ARGS)

.PHONY: lint
lint: $(STAMP) ## check format, style and types; changes nothing
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

.PHONY: format
format: $(STAMP) ## format the code and mend what ruff can mend safely
	@$(RUN) -m ruff check --fix-only .
	@$(RUN) -m ruff format .

.PHONY: docs
docs: $(STAMP) ## write what of docs/ and README.md follows from code and results
	@$(RUN) -m docs.generate

# Only plain names and versions; without the libraries of one platform, of which torch itself asks
# for the exact ones.
.PHONY: constraints
constraints: ## rebuild .venv with the newest versions and write them to constraints.txt
	@$(call make_venv,--clear,the newest versions)
	@$(call install,-e '$(EVERYTHING)')
	@$(PIP) freeze --exclude-editable > $(VENV)/freeze.txt
	@sed -n '/^#/p; /^[^#]/q' constraints.txt > $(VENV)/constraints.txt
	@sed 's/+.*//' $(VENV)/freeze.txt | grep -E '^[A-Za-z0-9._-]+==[0-9A-Za-z.!]+$$' | \
		grep -v -i -E '^(nvidia|cuda|triton)[-=]' >> $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt
	@touch $(STAMP)
	@echo "Wrote constraints.txt; now: make lint test-all"

.PHONY: clean
clean: ## remove .venv, caches and builds; results and records stay
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
