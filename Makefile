# Two commands do everything: `make book` and `make test`. Both first make .venv if it is missing or out of date.
# `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help env book page test check audit notebooks exercises bench conformance matrix pictures serve lock clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

env: ## set up .venv: the pinned packages and the library
	@$(PYTHON) book/_tools/environment.py $(VENV)

book: env ## build the website into _build/html
	@$(RUN) book/_tools/build.py

page: env ## preview one page: make page PAGE=adam
	@$(RUN) book/_tools/build.py --page $(or $(PAGE),$(error say which page: make page PAGE=adam))

notebooks: env ## derive the .ipynb of every page
	@$(RUN) book/_tools/notebooks.py

exercises: env ## derive the nbgrader notebooks from exercises/text and validate them
	@$(RUN) exercises/_tools/derive.py --validate

test: book ## every test, on the book just built
	@$(RUN) -m pytest -n auto --dist loadgroup

check: env ## lint, types, docstrings and the fast tests, for daily use
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m interrogate -q
	@$(RUN) -m pytest -q -n auto --dist loadgroup -m "not slow and not browser"

audit: env ## put mistakes into the library and see that the pages refuse them (25 minutes, goes on where it was cut off)
	@OMP_NUM_THREADS=1 $(RUN) book/_tools/audit.py

bench: env ## benchmarks, as ratios
	@$(RUN) -m benchmarks

conformance: ## the rules against optax, pytorch_optimizer and others, in an environment of its own (.cache/conformance)
	@test -x .cache/conformance/bin/python || $(PYTHON) -m venv .cache/conformance
	@.cache/conformance/bin/python -m pip install -q -r benchmarks/requirements-conformance.txt ./lib
	@.cache/conformance/bin/python -m benchmarks.conformance --json benchmarks/conformance.json

pictures: book ## the README's screenshots, from the built book (needs a Chromium)
	@$(RUN) book/_tools/pictures.py

serve: book ## show the built book on http://127.0.0.1:8000 (PORT=... for another port)
	@echo "http://127.0.0.1:$(PORT)  (Ctrl-C ends it)"
	@$(RUN) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

matrix: env ## the fast tests on each Python that is found, and on the oldest and newest packages that lib/ allows
	@$(RUN) book/_tools/matrix.py $(ONLY)

lock: env ## resolve the lower part of requirements.txt for every Python and system
	@$(RUN) book/_tools/lock.py

clean: ## remove what was built (not .venv)
	@rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
