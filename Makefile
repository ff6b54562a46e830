# The two commands that matter: `make demo` and `make test`. `make help` lists them all.
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench chaos quality screenshots docs clean

BIN := .venv/bin
PYTHON ?= python3
PORT ?= 8000

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

test: setup ## Run every check and every test.
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build
	$(BIN)/python manage.py check
	$(BIN)/python manage.py makemigrations --check
	$(BIN)/pytest --cov

bench: setup ## Measure speed and memory; results go to benchmarks/results/.
	@$(BIN)/python -m benchmarks

chaos: setup ## Kill workers, Redis and PostgreSQL under runs, and race each race a hundred times. CHAOS_SEED=1 repeats the kills.
	@$(BIN)/pytest --verbose -m chaos
	@CHAOS_KILLS=$(or $(CHAOS_KILLS),60) $(BIN)/pytest --verbose ami/ml/post_processing/tests/test_kills.py

quality: setup ## Measure how well tracking finds the links of known tracks.
	@$(BIN)/python -m benchmarks.quality

screenshots: setup ## Take the pictures of the README anew, in a real browser.
	@SCREENSHOTS=docs/images $(BIN)/pytest --quiet ami/ml/post_processing/tests/test_browser.py

docs: setup ## Build the documentation into docs/_build/; a warning is an error.
	@$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build

clean: ## Remove .venv and caches; the data below .local stay.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage docs/_build
