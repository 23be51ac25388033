# Everything lives in .venv: python3 with venv and pip is all that a machine needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

# Each process computes on one core: pytest runs two.
test: export OMP_NUM_THREADS = 1

.PHONY: demo test clean

demo: .venv/installed-demo
	$(BIN)/semcomp demo

test: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/pytest -n 2

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed-demo: pyproject.toml | .venv/bin/pip
	@echo "installing into .venv: the first time takes some minutes"
	$(PIP) install --editable '.[demo]'
	@touch $@

.venv/installed-test: pyproject.toml | .venv/bin/pip
	@echo "installing into .venv, with test tools: the first time takes some minutes"
	$(PIP) install --editable '.[test,demo,pretrained,jxl,fid]'
	@touch $@ .venv/installed-demo
