# make dev | demo | console | test | lab | bench | package | audit | lint | format | docs | screenshots | lock | clean
# Everything is made in .venv and build/; the only thing a fresh Debian machine needs is python3 with its venv module.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

# The newest supported Python that really starts (a version manager's shim may be there and refuse).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help dev demo console test lab lab-parts lint format bench package audit docs screenshots lock clean

help:
	@sed -n '1,2p' Makefile | sed 's/^# //'

dev: $(STAMP)

$(STAMP): requirements/dev.txt requirements/worker.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "smime-sync needs Python 3.11 or later with its venv module (Debian: apt-get install python3-venv)" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	echo "Setting up .venv with $$($(BIN)/python --version) (once) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	# The worker library declares Python 3.13; it runs on 3.11 and 3.12 as well, without its own pins.
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --ignore-requires-python -r requirements/worker.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# The main job, embedded, on examples/. Run it twice: the second run changes nothing. FRESH=1 starts over.
demo: dev
	$(BIN)/python -m examples.demo $(if $(FRESH),--fresh)

# The same, and its console in the browser until Ctrl-C; `make demo` does so itself where it is run on a terminal.
console: dev
	$(BIN)/python -m examples.demo --console $(if $(FRESH),--fresh)

# What the lab needs from apt, npm and pip; says what it leaves out, and fails for it where the lab is required.
lab-parts: dev
	$(BIN)/python -m tests.lab.setup

test: lab-parts
	$(BIN)/pytest

# The real parts, ten changes in Active Directory, each followed to the simulated tenant.
lab: lab-parts
	$(BIN)/python -m tests.lab

bench: dev
	$(BIN)/python -m bench

# The function's package, its bill of materials (CycloneDX) and its licences, in build/package.
package: dev
	$(BIN)/python -m release

# Known vulnerabilities of what the function and the agent stand on. Asks the public advisory service, so it is not part
# of `make test`; what could not be asked counts as a failure, never as good news.
audit: dev
	test -x build/audit/bin/pip-audit || { $(BIN)/python -m venv build/audit; build/audit/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt; }
	for lock in requirements.txt requirements/function-ldap.txt requirements/agent.txt; do build/audit/bin/pip-audit --strict --require-hashes --disable-pip -r $$lock; done

# The pages under docs/ that come from the code.
docs: dev
	$(BIN)/python -m docs.make

# The README's pictures of the console, by the tests that look at it.
screenshots: lab-parts
	SMIME_SYNC_SCREENSHOTS=1 SMIME_SYNC_REQUIRE_LAB=1 $(BIN)/pytest -q tests/console/test_screenshots.py

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Locks hold hashes and no registry's name; --universal writes the markers for each Python version.
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
lock:
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv; $(BIN)/pip install --quiet uv; }
	$(LOCK) --python-version 3.11 pyproject.toml --extra function -o requirements.txt
	$(LOCK) --python-version 3.11 pyproject.toml --extra function --extra ldap -o requirements/function-ldap.txt
	$(LOCK) --python-version 3.11 pyproject.toml --extra agent -o requirements/agent.txt
	$(LOCK) --python-version 3.11 requirements/build.in -o requirements/build.txt
	$(LOCK) --python-version 3.11 pyproject.toml --extra serve -o requirements/serve.txt
	$(LOCK) --python-version 3.11 pyproject.toml --extra dev requirements/build.in -o requirements/dev.txt
	$(LOCK) --python-version 3.13 --no-deps requirements/worker.in -o requirements/worker.txt
	$(LOCK) --python-version 3.11 requirements/audit.in -o requirements/audit.txt

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
