# Every routine of this project. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/pytest -q
DINKOP := $(BIN)/dinkop
COMPOSE ?= docker-compose
export COMPOSE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## install everything the other targets need, into .venv

.venv/ready: requirements/dev.txt pyproject.toml
	@python=$$(deploy/find-python) && rm -rf .venv && "$$python" -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@$(BIN)/python -m compileall -q chassis contracts dinkop services
	@touch $@

demo: setup ## run the system with the demonstration regency, and print where to look
	@exec $(DINKOP) demo

up: setup ## run the system on this machine
	@exec $(DINKOP) up

test: check unit integration e2e ## everything that must pass

check: setup ## lint, format, types, import rules, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m contracts.generate --check

unit: setup ## rules and folds; no sockets
	@$(PYTEST) -n auto tests/unit tests/contracts

integration: setup ## stores, relay, projections and services on real servers; processes killed at every await
	@$(PYTEST) -n 2 tests/faults tests/integration

e2e: setup ## the whole system through its commands and HTTP alone
	@$(PYTEST) -n 2 --dist loadfile tests/end_to_end

compose-up: ## build images, start the stack of docker-compose.yml, wait, and say where to look
	@deploy/compose-up && $(COMPOSE) ps && echo "A token: $(COMPOSE) run --rm cli token --role officer" && \
	  echo "Where everything stands: $(COMPOSE) run --rm cli status"

compose-down: ## stop that stack; its volumes and secrets stay
	@$(COMPOSE) down

compose-test: setup ## the end-to-end tests against stacks of their own: REPLICAS=2 for two of each service
	@[ -n "$(DINKOP_BUILT)" ] || DINKOP_VERSION=test $(COMPOSE) build -q
	@DINKOP_VERSION=test DINKOP_TEST_SYSTEM=compose DINKOP_TEST_REPLICAS=$(or $(REPLICAS),1) $(PYTEST) -s tests/end_to_end

compose-drill: setup ## lose a database and a whole stack of containers, and restore them by the how-to's own commands
	@[ -n "$(DINKOP_BUILT)" ] || DINKOP_VERSION=test $(COMPOSE) build -q
	@DINKOP_VERSION=test DINKOP_TEST_SYSTEM=compose $(PYTEST) -s tests/end_to_end/test_compose_restore.py

SCHEDULES = PYTHONPATH=tests:tests/faults:tests/end_to_end $(BIN)/python -m schedules $(foreach mode,$(MODE),--mode $(mode))

faults: setup ## break the whole system for ten minutes, failed seeds first; MODE=containers; DINKOP_FAULTS_SEED: one again
	@$(SCHEDULES) --kept --minutes $${DINKOP_FAULTS_MINUTES:-10}

faults-long: setup ## the same for hours: DINKOP_FAULTS_HOURS, default 3
	@$(SCHEDULES) --kept --minutes $$(( $${DINKOP_FAULTS_HOURS:-3} * 60 ))

test-containers: setup ## the integration tests on PostgreSQL and NATS in containers
	@DINKOP_TEST_ENGINE=containers $(PYTEST) -m "not embedded" tests/integration

replicas: setup ## two processes of every service, all restarted one after another under load
	@DINKOP_TEST_ROLLS=all $(PYTEST) -s tests/integration/replicas

bench: setup ## measure, each against a limit in the same run
	@$(PYTEST) -s -m benchmark tests/benchmarks

restore-drill: setup ## lose the stream, a database, the machine, and see that everything comes back
	@folder=$$(mktemp -d) && $(BIN)/python deploy/restore-drill "$$folder" --dinkop $(DINKOP) && rm -rf "$$folder"

contracts: setup ## write schemas and examples anew; refuses what a consumer would not survive
	@$(BIN)/python -m contracts.generate

release-contracts: setup ## freeze what the contracts promise now as their next version
	@$(BIN)/python -m contracts.releases && $(BIN)/python -m contracts.generate

samples: setup ## add approved samples of new stored events, kept for ever
	@PYTHONPATH=.:tests $(BIN)/python tests/contracts/samples.py

format: setup ## put the code into its format
	@$(BIN)/ruff check --fix -q . && $(BIN)/ruff format -q .

lock: setup ## resolve the requirements anew, with hashes and without addresses
	@for file in runtime dev registry rat mentoring reporting cli; do \
	  case $$file in runtime) what="pyproject.toml";; dev) what="pyproject.toml --extra dev -c requirements/runtime.txt";; \
	    *) what="--group $$file -c requirements/runtime.txt";; esac; \
	  $(BIN)/uv pip compile $$what \
	    --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --no-annotate -q \
	    -o requirements/$$file.txt; done

migration: setup ## start a schema version: make migration SERVICE=chassis|registry|… NAME="what it does"
	@$(BIN)/python -m chassis.storage.migrations "$(SERVICE)" "$(NAME)"

clean: ## remove what setup and the tests made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

.PHONY: help setup demo up test check unit integration e2e faults faults-long compose-up compose-down compose-test compose-drill test-containers replicas bench restore-drill contracts release-contracts samples format lock migration clean
