# The two commands that matter: `make demo` and `make test`. `make help` lists them all.
.DEFAULT_GOAL := help
.PHONY: help setup demo test pytest check versions bench chaos quality screenshots clean

BIN := .venv/bin
PYTHON ?= python3
PORT ?= 8000
PARALLEL := --numprocesses=3 --dist=worksteal

# Run a command and print its output only if it fails.
quietly = @said=$$($(1) 2>&1) || { printf '%s\n' "$$said"; exit 1; }

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

setup: .venv/stamp ## Create .venv with the pinned requirements, unless it is up to date.
	@:

.venv/stamp: $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This needs Python 3.11 or later; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/local.txt
	@touch $@

demo: setup ## Run a method through the admin and serve the demo. ONCE=1 stops afterwards; PORT=8001 sets the port.
	@$(BIN)/python manage.py demo --port $(PORT) $(if $(ONCE),--once)

test: setup ## Run all checks and all tests in parallel.
	@$(MAKE) --no-print-directory --jobs=2 pytest check

pytest: setup
	@$(BIN)/pytest $(PARALLEL) $(if $(CI),--cov --durations=20)

check: setup ## Check style, types, layers, documentation and migrations; needs no database.
	$(call quietly,$(BIN)/ruff check .)
	$(call quietly,$(BIN)/ruff format --check .)
	$(call quietly,$(BIN)/mypy)
	$(call quietly,$(BIN)/lint-imports --no-cache --no-logo)
	$(call quietly,$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build)
	$(call quietly,$(BIN)/python manage.py check)
	$(call quietly,$(BIN)/python manage.py makemigrations --check)

versions: setup ## Test engine, methods, checks, samples and files on each installed PostgreSQL, or on VERSIONS="15 16".
	@for version in $(or $(VERSIONS),$$($(BIN)/python -c "from config.devservers.servers import found; print(*found())")); do \
	    echo "PostgreSQL $$version"; \
	    POSTGRES_VERSION=$$version $(BIN)/pytest $(PARALLEL) ami/jobs ami/ml ami/main/checks ami/integrity ami/review ami/exchange || exit; \
	done

bench: setup ## Measure speed and memory, and write benchmarks/results/.
	@$(BIN)/python -m benchmarks

chaos: setup ## Kill workers, Redis and PostgreSQL during runs, and repeat each race 100 times. CHAOS_SEED=1 repeats the same kills.
	@CHAOS_KILLS=$(or $(CHAOS_KILLS),60) $(BIN)/pytest --verbose -m chaos

quality: setup ## Measure tracking on known tracks, and track consensus on synthetic ones.
	@$(BIN)/python -m benchmarks.quality

screenshots: setup # Take the screenshots of the docs again, in a real browser.
	@SCREENSHOTS=docs/images $(BIN)/pytest --quiet ami/ml/post_processing/tests/test_browser.py

clean: ## Remove .venv and caches; keep the data in .local.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage docs/_build
