# Two commands are the whole set-up: `make serve` and `make test`. They need Python 3.11 or newer and a package index.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Many tests wait more than they compute, so that three at a time are no more than two cores can do.
PYTEST_PROCESSES ?= 3
# PyTorch would have each of them compute on all cores, and spin while it waits for one.
ONE_THREAD := OMP_NUM_THREADS=1
PIP := PIP_CONSTRAINT=constraints.txt $(BIN)/pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help serve test survey train bench docs screenshots constraints container-test deploy-check audit licences clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

serve: $(VENV)/.serve ## Install what the service needs, and run it with the shipped model
	$(BIN)/galaxytree serve

test: $(VENV)/.dev ## Install what the checks need, and run every one
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/coverage erase
	$(ONE_THREAD) $(BIN)/coverage run -m pytest -n $(PYTEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

survey: $(VENV)/.survey ## Install what scoring a catalogue needs
	@echo "Now: $(BIN)/galaxytree score --help"

train: $(VENV)/.train ## Install what training needs
	@echo "Now: $(BIN)/python -m training --help"

bench: $(VENV)/.bench ## Install what the benchmarks need, and measure the service, the machine's limit and peers
	@command -v wrk >/dev/null || apt-get install --yes wrk || { echo "make bench needs wrk: sudo apt install wrk"; exit 1; }
	$(BIN)/python -m benchmarks run $(BENCH_ARGUMENTS)

docs: $(VENV)/.dev ## Write the generated parts of the docs anew
	$(BIN)/python docs/generate.py

screenshots: $(VENV)/.dev ## Draw the page as the README shows it: needs Chromium
	SCREENSHOTS=docs/figures $(BIN)/python -m pytest tests/page/test_screenshots.py -q

constraints: ## Pin the newest releases that pyproject.toml admits, for every platform
	$(PYTHON) -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/pip install --quiet uv
	$(VENV)-constraints/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --no-annotate \
		--custom-compile-command "make constraints" --no-emit-index-url --constraints constraints.in pyproject.toml -o constraints.txt

container-test: ## Build the container's image without an engine, and try it; as root, on Debian
	@command -v buildah debootstrap >/dev/null || apt-get install --yes --no-install-recommends buildah debootstrap || true
	$(PYTHON) -m deploy.container $(CONTAINER_ARGUMENTS)

deploy-check: $(VENV)/.dev $(VENV)-deploy/.ready ## Check docker-compose.yml and deploy/ with Docker's and Kubernetes' own programs
	PATH="$(CURDIR)/$(VENV)-deploy/bin:$$PATH" $(BIN)/python -m pytest tests/deploy

audit: $(VENV)-audit/.ready ## Write the bill of materials; ask for known weaknesses and licences
	$(VENV)-audit/bin/python -m deploy.audit $(AUDIT_ARGUMENTS)

licences: $(VENV)-audit/.ready ## Write docs/licences.md anew
	$(VENV)-audit/bin/python -m deploy.licences

clean: ## Remove environments and caches; data, runs and models stay
	rm -rf $(VENV) $(VENV)-constraints $(VENV)-deploy $(VENV)-audit benchmarks/.environments .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit("galaxytree needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --editable '.[serve]'
	touch $@

$(VENV)/.survey: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --editable '.[survey]'
	touch $@

$(VENV)/.train: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --editable '.[train]'
	touch $@

$(VENV)/.bench: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --editable '.[serve,survey]' matplotlib
	touch $@

$(VENV)/.dev: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --editable '.[dev]'
	touch $@

$(VENV)-audit/.ready: deploy/audit.txt
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --requirement deploy/audit.txt
	touch $@

$(VENV)-deploy/.ready: deploy/check.txt
	$(PYTHON) -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/python -m pip install --quiet --requirement deploy/check.txt
	touch $@
