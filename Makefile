# Thin targets over the command line; `make` alone prints what there is. Works with GNU make 3.81 (macOS) and newer.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Every knob can be given on the command line, for example: make demo STATE=/tmp/try
PYTHON ?=
STATE ?= state
FILE ?=
ARGS ?=
CONTAINERS ?= containers
WORKERS ?=
BRIDGES ?=
SERVICE ?=

# One more than the cores that CI has: the tests wait for other programs much of the time.
TEST_PROCESSES ?= 3

VENV := .venv
BIN := $(VENV)/bin
HEADRACE := $(BIN)/headrace

INSTALLED := $(VENV)/.installed
JARS := $(VENV)/.jars
KERNELS := $(VENV)/.kernels
CLASSES := $(VENV)/.classes

PYTEST := $(BIN)/python -m pytest
# A file's tests share what is slow to start (a Spark session, a bridge), so a file stays with one process.
# tests/conftest.py puts the longest files first; pytest-xdist would put those with the most tests first.
SIDE_BY_SIDE := -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# A command that runs beside the tests with containers, which mostly wait; CI has one.
MEANWHILE ?= true

# The containers are up, and no other state folder is named: then drop, status and stop mean them.
IN_CONTAINERS := $(if $(filter command line,$(origin STATE)),,$(wildcard $(CONTAINERS)/up))
# The containers' commands need a Python and nothing else; the virtual environment's, where there is one, also unpacks .zst.
NEEDS := $(if $(IN_CONTAINERS),,setup)
REPLICAS := $(if $(WORKERS),--workers '$(WORKERS)') $(if $(BRIDGES),--bridges '$(BRIDGES)')

##@ Use it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@printf '\nSettings: STATE=folder (%s), FILE=file for drop, ARGS="options of the command", PYTHON=interpreter,\n' '$(STATE)'
	@printf 'CONTAINERS=folder (%s), WORKERS=n, BRIDGES=n, SERVICE=name. drop, status and stop mean the containers from\n' '$(CONTAINERS)'
	@printf '"make up" to "make down", else the run in the state folder; STATE=folder on the command line means that run.\n'

.PHONY: demo
demo: setup ## Run the whole pipeline with a sample access log; Ctrl-C stops it
	@$(HEADRACE) demo --state '$(STATE)' $(ARGS)

.PHONY: run
run: setup ## Run agent, bridge and Spark job, going on where the last run stopped
	@$(HEADRACE) run --state '$(STATE)' $(ARGS)

.PHONY: drop
drop: $(NEEDS) ## Hand a log file to the running pipeline: make drop FILE=access.log
	@test -n '$(FILE)' || { echo 'name the file: make drop FILE=access.log' >&2; exit 2; }
	@$(if $(IN_CONTAINERS),$(call containers,drop --containers) $(ARGS) -- $(FILE),$(HEADRACE) drop --state '$(STATE)' $(ARGS) -- $(FILE))

.PHONY: status
status: $(NEEDS) ## Show every stage with its counters, and whether the sums hold
	@$(if $(IN_CONTAINERS),$(call containers,status --containers) $(ARGS),$(HEADRACE) status --state '$(STATE)' $(ARGS))

.PHONY: stop
stop: $(NEEDS) ## Stop a run that goes on in another terminal, or the containers, in the order of the data
	@$(if $(IN_CONTAINERS),$(call containers,down) $(ARGS),$(HEADRACE) stop --state '$(STATE)' $(ARGS))

.PHONY: reset
reset: ## Delete the state folder and the containers' data: events, counts and checkpoint (asks first)
	@test -d '$(STATE)' || exit 0; \
	  read -r -p 'Delete $(STATE) with all events and counts in it? [y/N] ' answer; \
	  if [ "$$answer" = y ]; then rm -rf -- '$(STATE)'; else echo 'kept'; fi
	@$(call containers,reset) $(ARGS)

##@ Use it in containers

.PHONY: up
up: ## Build and start agent, bridge and a Spark cluster in Docker: make up [WORKERS=2] [BRIDGES=2]
	@$(call containers,up) $(REPLICAS) $(ARGS)

.PHONY: down
down: ## Stop the containers in the order of the data, and keep all of it
	@$(call containers,down) $(ARGS)

.PHONY: counts
counts: ## Follow the counts as the containers print them
	@$(call containers,counts) $(ARGS)

.PHONY: logs
logs: ## Follow what the containers say: make logs [SERVICE=bridge]
	@$(call containers,logs) $(ARGS) $(SERVICE)

.PHONY: scale
scale: ## Run more workers or bridges: make scale WORKERS=3 BRIDGES=2
	@$(call containers,scale) $(REPLICAS) $(ARGS)

.PHONY: shell
shell: ## Open a shell in a container: make shell SERVICE=driver
	@$(call containers,shell) $(ARGS) $(SERVICE)

.PHONY: config
config: ## Print every setting of the containers with its origin, and what becomes of them
	@$(call containers,config) $(ARGS)

##@ Set it up

.PHONY: setup
setup: $(INSTALLED) $(JARS) $(KERNELS) ## Make the virtual environment, fetch Flume's jars, compile the kernels

.PHONY: doctor
doctor: $(INSTALLED) ## Check this machine: Java, Python, jars, disk, memory
	@$(HEADRACE) doctor --state '$(STATE)'

$(INSTALLED): requirements-dev.lock pyproject.toml
	@$(find_java)
	@$(find_python); \
	  if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c pass 2>/dev/null; then \
	    echo "making the virtual environment $(VENV) with $$python"; \
	    "$$python" -m venv --clear $(VENV); \
	  fi
	@echo 'installing the Python packages (about 600 MB; the first time takes some minutes)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@

$(JARS): $(INSTALLED) $(wildcard flume/jars/pom.xml flume/jars/checksums.txt)
	@$(HEADRACE) jars
	@touch $@

$(KERNELS): $(INSTALLED) $(wildcard avro_bridge/wire/kernels/*.py spark_job/parse/kernels/*.py)
	@echo 'compiling the kernels (the first time takes half a minute)'
	@$(BIN)/python -m avro_bridge precompile
	@$(BIN)/python -m spark_job precompile
	@touch $@

##@ Work on it

$(CLASSES): $(INSTALLED)
	@echo 'making an archive of the classes of Spark for the tests (once; half a minute)'
	@$(BIN)/python -m tests.support.class_archive
	@touch $@

.PHONY: test
test: setup $(CLASSES) ## Run the tests that take seconds each, real Flume and Spark included (below 6 minutes)
	@$(PYTEST) $(SIDE_BY_SIDE) -m 'not slow and not docker' $(ARGS)

.PHONY: test-all
test-all: ## Run every test; those with containers by themselves, since they start many programs
	@$(MAKE) test-local
	@{ $(MEANWHILE); } & beside=$$!; $(MAKE) test-docker; tests=$$?; wait $$beside && exit $$tests

.PHONY: test-local
test-local: setup $(CLASSES) ## Run every test that needs no containers
	@$(PYTEST) $(SIDE_BY_SIDE) -m 'not docker' --durations=20 $(ARGS)

.PHONY: test-docker
test-docker: setup ## Run every test with containers
	@$(PYTEST) -m docker --durations=5 $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, types and the files that follow from the code (what CI runs first)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/headrace render --check
	@$(BIN)/python -m docs.generate --check

.PHONY: check
check: lint ## Check that, layers, documents, and the files for containers
	@$(PYTEST) -q $(SIDE_BY_SIDE) tests/repo $(ARGS)

.PHONY: generate
generate: $(INSTALLED) ## Write the files that follow from the code: settings of the containers, reference pages
	@$(BIN)/python docker/generate.py
	@$(BIN)/python -m docs.generate

.PHONY: docs
docs: generate ## Build the documentation as HTML into build/docs; warnings are errors, no network is needed
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/docs/.doctrees docs build/docs/html
	@echo 'build/docs/html/index.html'

.PHONY: docs-check
docs-check: setup ## Run every job over a small sample and compare the outputs in docs/jobs.md (ARGS=--write to renew)
	@$(BIN)/python -m tests.support.jobs_page $(ARGS)

.PHONY: coverage
coverage: setup ## Measure branch coverage of wire, log and parse, the kernel not compiled (floor: 95 %)
	@NUMBA_DISABLE_JIT=1 $(BIN)/coverage run --branch --data-file=.coverage \
	  --source=avro_bridge/wire,avro_bridge/log,spark_job/parse \
	  -m pytest -q -m 'not slow and not java and not spark and not docker' \
	  tests/avro_bridge/wire tests/avro_bridge/log tests/spark_job/parse $(ARGS)
	@$(BIN)/coverage report --data-file=.coverage --fail-under=95 \
	  --include='avro_bridge/wire/*,avro_bridge/log/*,spark_job/parse/*'

.PHONY: dist
dist: $(INSTALLED) ## Build the source distribution and the wheel into dist/
	@$(BIN)/python -m build --no-isolation

.PHONY: format
format: $(INSTALLED) ## Put the code into its format
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: bench
bench: setup ## Measure: ingest, query, end to end (each prints ratios of one run; ARGS=--tiny only tries them)
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: clean
clean: ## Delete the virtual environment and the caches in this folder (state folder and fetched jars stay)
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Sets $$python, or ends with one sentence. The newest supported interpreter on the PATH is taken.
define find_python
python=''; \
for candidate in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3); do \
  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
    python="$$candidate"; break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'Python 3.11 to 3.13 is missing: on Debian `sudo apt-get install python3 python3-venv`, on Fedora `sudo dnf install python3.13`, on macOS `brew install python@3.13`.' >&2; exit 1; \
fi; \
if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
  echo "$$python has no venv module: on Debian \`sudo apt-get install python3-venv\`, on Fedora \`sudo dnf install python3-libs\`, on macOS \`brew reinstall python@3.13\`." >&2; exit 1; \
fi
endef

# $(call containers,COMMAND) runs a command on the containers, whose messages then name targets of make.
define containers
python='$(BIN)/python'; if [ ! -x "$$python" ]; then $(find_python); fi; \
HEADRACE_CALLED_BY=make "$$python" -m headrace $(1) --folder '$(CONTAINERS)'
endef

# Ends with one sentence when Java is missing or too old. macOS has a java that only says that there is none.
define find_java
java="$${JAVA_HOME:+$$JAVA_HOME/bin/}java"; \
version=$$("$$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\)[".].*/\1/p' | head -n 1); \
if [ -z "$$version" ] || [ "$$version" -lt 17 ]; then \
  echo 'Java 17 or newer is missing: on Debian `sudo apt-get install openjdk-17-jre-headless`, on Fedora `sudo dnf install java-21-openjdk-headless`, on macOS `brew install openjdk@17`.' >&2; exit 1; \
fi
endef
