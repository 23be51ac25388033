# Everything lives in .venv: python3 with venv and pip is all that a machine needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# its advertisement for a successor is longer than a build's output
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet

# Each process computes on one core: pytest runs two.
test: export OMP_NUM_THREADS = 1

.PHONY: demo docs test clean

demo: .venv/installed-demo
	$(BIN)/semcomp demo

test: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint docker/Dockerfile
	$(MKDOCS) build --strict
	$(BIN)/pytest -n 2

# site/index.html, which opens without a server; needs no network once its tools are installed
docs: .venv/installed-docs
	$(MKDOCS) build --strict

clean:
	rm -rf .venv site .cache .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed-demo: pyproject.toml | .venv/bin/pip
	@echo "installing into .venv: the first time takes some minutes"
	$(PIP) install --editable '.[demo]'
	@touch $@

.venv/installed-test: pyproject.toml | .venv/bin/pip
	@echo "installing into .venv, with test tools: the first time takes some minutes"
	$(PIP) install --editable '.[test,demo,pretrained,jxl,fid,coclico]'
	@touch $@ .venv/installed-demo .venv/installed-docs

.venv/installed-docs: pyproject.toml | .venv/bin/pip
	@echo "installing into .venv, with the tools of the documentation"
	$(PIP) install --editable '.[docs]'
	@touch $@
