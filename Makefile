# The two commands that matter: `make demo` and `make test`. `make help` lists them all.
.DEFAULT_GOAL := help
.PHONY: help setup demo test pytest check versions bench chaos quality screenshots clean

BIN := .venv/bin
PYTHON ?= python3
PORT ?= 8000
PARALLEL := --numprocesses=3 --dist=worksteal

# Print what a command says only if it fails.
quietly = @said=$$($(1) 2>&1) || { printf '%s\n' "$$said"; exit 1; }

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

setup: .venv/stamp ## Make .venv with the pinned requirements; at once when nothing has changed.
	@:

.venv/stamp: $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This needs Python 3.11 or later; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/local.txt
	@touch $@

demo: setup ## Run the main job as a person does, then serve it. ONCE=1 stops after it, PORT=8001 moves it.
	@$(BIN)/python manage.py demo --port $(PORT) $(if $(ONCE),--once)

test: setup ## Run every check and every test, side by side.
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

versions: setup ## Test engine, journal, methods and checks on each PostgreSQL that is found: VERSIONS="15 16".
	@for version in $(or $(VERSIONS),$$($(BIN)/python -c "from config.servers import found; print(*found())")); do \
	    echo "PostgreSQL $$version"; \
	    POSTGRES_VERSION=$$version $(BIN)/pytest $(PARALLEL) ami/jobs ami/ml ami/main/checks || exit; \
	done

bench: setup ## Measure speed and memory; results go to benchmarks/results/.
	@$(BIN)/python -m benchmarks

chaos: setup ## Kill workers, Redis and PostgreSQL under runs, and race each race a hundred times. CHAOS_SEED=1 repeats the kills.
	@CHAOS_KILLS=$(or $(CHAOS_KILLS),60) $(BIN)/pytest --verbose -m chaos

quality: setup ## Measure how well tracking finds the links of known tracks.
	@$(BIN)/python -m benchmarks.quality

screenshots: setup # Take the pictures of the README anew, in a real browser.
	@SCREENSHOTS=docs/images $(BIN)/pytest --quiet ami/ml/post_processing/tests/test_browser.py

clean: ## Remove .venv and caches; the data below .local stay.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage docs/_build
