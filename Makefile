# Everything here works on a fresh clone: whatever a target needs is made first.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export RUNTIME__DLTHUB_TELEMETRY := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo dev explore docs scale-setup scale-up scale-down test test-all test-endurance test-timing test-clients test-scale test-warehouses check audit generate bench bench-calls bench-report bench-realtime bench-identity bench-scale clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## the environment alone, in .venv

$(VENV)/.ready: requirements.txt pyproject.toml
	@echo "Setting up $(VENV) (a minute or so, once) ..."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python $(PYTHON) $(VENV) && \
		UV_COMPILE_BYTECODE=1 uv pip install -q --python $(BIN)/python -r requirements.txt && \
		uv pip install -q --python $(BIN)/python --no-deps -e . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e . ; \
	fi
	@$(BIN)/python -m compileall -q cdp_pipelines # else each start does it again, where Python may not write the result
	@$(BIN)/python -m cdp_pipelines.transform
	@touch $@

demo: setup ## the three CRMs' sandbox, a full sync through Dagster, the published file and a summary
	@$(BIN)/cdp demo

dev: setup ## Dagster's UI on http://127.0.0.1:3000
	@$(BIN)/python -m cdp_pipelines.dev

explore: setup ## a notebook with ready questions over what is published; EXPLORE="--headless --port 2800": without a browser, elsewhere
	@$(BIN)/python -m cdp_pipelines.explore $(EXPLORE)

docs: setup ## every model and column, and what it is made of, as one page: dbt's documentation
	@$(BIN)/python -m cdp_pipelines.dbt_docs

SCALE := $(VENV)-scale

scale-setup: $(SCALE)/.ready ## the environment of the distributed engine, in .venv-scale, and the Debian packages that it needs
	@$(SCALE)/bin/python -m cdp_pipelines.scale packages

$(SCALE)/.ready: requirements.txt requirements-scale.txt pyproject.toml
	@echo "Setting up $(SCALE) (some minutes, once) ..."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python $(PYTHON) $(SCALE) && \
		uv pip install -q --python $(SCALE)/bin/python -r requirements.txt -r requirements-scale.txt && \
		uv pip install -q --python $(SCALE)/bin/python --no-deps -e . ; \
	else \
		$(PYTHON) -m venv $(SCALE) && \
		$(SCALE)/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt -r requirements-scale.txt && \
		$(SCALE)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e . ; \
	fi
	@touch $@

scale-up: scale-setup ## PostgreSQL, Redis and a Spark cluster with Iceberg on this machine, and the settings that find them; SCALE_UP=--help
	@$(SCALE)/bin/python -m cdp_pipelines.scale up $(SCALE_UP)

scale-down: ## end what make scale-up started
	@if [ -e $(SCALE)/.ready ]; then $(SCALE)/bin/python -m cdp_pipelines.scale down; fi

test: setup ## the tests (not the slow ones)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not timing and not endurance and not scale"

test-all: setup ## the tests, slow ones too
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not timing and not endurance and not scale"

ENDURANCE ?= tests

test-endurance: setup ## two hundred histories, kills of writing and receiving, histories of erasures, others each time; ENDURANCE=tests/writeback: a part
	@$(BIN)/python -m pytest -q -rP -n 2 --dist worksteal -m endurance $(ENDURANCE)

test-timing: setup ## how quickly the sandbox answers at 100,000 and 1,000,000 people; leave the machine alone meanwhile
	@$(BIN)/python -m pytest -q -m timing

test-clients: setup ## public connectors, each in an environment of its own, read the whole sandbox
	@TEST_CLIENTS_DIR=$(VENV)-clients $(BIN)/python -m pytest -q -n 2 tests/clients_slow

test-scale: scale-setup ## the distributed engine: what needs the services of make scale-up, which it starts and ends
	@$(SCALE)/bin/python -m pytest -q -rP -n 2 --dist loadgroup -m "scale and not slow" tests/scale tests/deploy tests/engines tests/test_bench_scale.py

WAREHOUSES := snowflake bigquery redshift databricks

test-warehouses: setup ## the models and their tests, compiled by each cloud warehouse's own adapter without a connection, and parsed
	@for warehouse in $(WAREHOUSES); do \
		adapter=$(VENV)-warehouses/$$warehouse; \
		if [ ! -e $$adapter/.ready ]; then \
			echo "Setting up $$adapter (a minute or so, once) ..." && \
			if command -v uv >/dev/null 2>&1; then \
				uv venv -q --allow-existing --python $(PYTHON) $$adapter && uv pip install -q --python $$adapter/bin/python "dbt-$$warehouse" "dbt-core<1.12" ; \
			else \
				$(PYTHON) -m venv $$adapter && $$adapter/bin/python -m pip install -q --disable-pip-version-check "dbt-$$warehouse" "dbt-core<1.12" ; \
			fi && touch $$adapter/.ready || exit 1 ; \
		fi ; \
	done
	@CDP_TEST_ADAPTERS_DIR=$(VENV)-warehouses $(BIN)/python -m pytest -q -rs tests/test_compile_elsewhere.py

check: setup ## lint and security rules, format, types, generated files up to date, SQL that every engine reads, and known faults of our dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/ty check
	@$(BIN)/python -m cdp_pipelines.generate --check
	@$(BIN)/python -m cdp_pipelines.generate.portability
	@$(BIN)/python -m cdp_pipelines.quality.page
	@$(BIN)/python -m tests.advisories

audit: setup ## the last of these alone: fails for a known fault, and also when no advisory source answers
	@$(BIN)/python -m tests.advisories --require

generate: setup ## dbt files, docs and the dbt manifest from the mapping
	@$(BIN)/python -m cdp_pipelines.generate
	@$(BIN)/python -m cdp_pipelines.quality.page --write
	@$(BIN)/python -m cdp_pipelines.transform

bench: setup ## processor time, calls and peak memory of reading each CRM; calls and records a second of writing
	@$(BIN)/python -m cdp_pipelines.bench
	@$(BIN)/python -m cdp_pipelines.bench_writes

bench-calls: setup ## API calls of a full and an incremental read of each CRM, beside the least possible
	@$(BIN)/python -m cdp_pipelines.bench_calls

bench-report: setup ## seconds of the report and of the masked file at 100,000 contacts; run `make demo` first
	@$(BIN)/python -m cdp_pipelines.bench_report

bench-realtime: setup ## seconds from a change in each CRM to the published file, through the receiver and the daemon: about eight minutes
	@$(BIN)/python -m cdp_pipelines.bench_realtime

bench-identity: setup ## who is who, by our resolver and by public tools, against the truth: an hour or two, see docs/identity-benchmark.md
	@BENCH_IDENTITY_DIR=$(VENV)-identity $(BIN)/python -m tests.identity.benchmark $(BENCH)

bench-scale: setup ## seconds, memory and disk of each step after reading at 1, 3 and 10 million contacts: some hours; BENCH="--contacts 1000000": one size
	@$(BIN)/python -m cdp_pipelines.bench_scale $(BENCH)

clean: scale-down ## remove what was made: the environment, data (but for who was erased), caches
	@rm -rf $(VENV) $(SCALE) $(VENV)-warehouses $(VENV)-clients $(VENV)-identity $(VENV)-identity.lock .pytest_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs *.egg-info
	@find data -mindepth 1 ! -name .gitignore ! -path 'data/privacy*' -delete
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
