# Everything here works without questions asked, and without a network once the packages are there.
#
#   make build            the environment .venv with a release build installed
#   make demo             build, then the six failure examples and the survey of the standard library
#   make test             all tests; the long forms are `make sim` and `make fuzz`
#   make compat           joblib's and CPython's own tests on this package, and ours with scikit-learn and dask
#   make lint             formatting, lints, types, house rules; warnings are errors
#   make wheel            dist/*.whl, one for every Python from 3.11 on
#   make bench            measure against the peers, write benches/results/, renew the table in README.md
#   make bench-rust       the Rust front against its peers; renews its table in docs/performance.md
#   make soak SOAK_S=…    steady use of one pool, an hour unless told otherwise; fails if anything grows
#   make sim STEPS=…      the simulator for as long as one likes; SEED=… replays one run
#   make chaos TASKS=…    a campaign of random wishes, kills and shortages on so many tasks; SEED=… replays it
#   make chaos-peers      the part of it that other pools can do, with them; renews docs/reliability.md
#   make fuzz INPUTS=…    the frame decoder on so many random and mutated inputs
#
# PYTHON chooses the interpreter of the environment, VENV its folder.

PYTHON ?= python3
VENV ?= .venv
OUTPUT ?= target/survey
STEPS ?= 1000000000
INPUTS ?= 50000000
TASKS ?= 100000
PEER_TASKS ?= 10000
SEED ?=
SOAK_S ?= 3600

export VENV
BIN := $(VENV)/bin
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE \
	$(shell find crates python -type f \( -name '*.rs' -o -name '*.py' -o -name '*.pyi' \
		-o -name '*.toml' -o -name 'py.typed' \))

.PHONY: build demo test lint wheel bench bench-rust chaos chaos-peers soak sim fuzz compat clean
.DELETE_ON_ERROR:

build: $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or later is needed, for instance: make PYTHON=python3.13 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip asks the network only for what is missing.
$(VENV)/.packages: pyproject.toml ci/requirements | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$$($(BIN)/python ci/requirements build core test lint)
	touch $@

$(VENV)/.installed: $(VENV)/.packages $(SOURCES)
	ci/install $(BIN)/python
	touch $@

demo: build
	ci/demo $(BIN)/python $(OUTPUT)

test: build
	ci/rust-tests
	ci/loom
	ci/fuzz
	ci/sim
	ci/python-tests $(BIN)/python
	ci/other-transport $(BIN)/python

compat: build
	ci/joblib $(BIN)/python
	ci/stdlib $(BIN)/python

lint: build
	ci/lint $(BIN)/python

wheel: $(VENV)/.packages
	ci/wheel $(BIN)/python dist

bench: build
	ci/bench $(BIN)/python

# Nothing of Python is measured, so nothing of it is built.
bench-rust:
	$(PYTHON) -m benches.rust_peers

chaos: build
	$(BIN)/python -m tests.chaos.campaign --tasks $(TASKS) --seed $(or $(SEED),1) \
		$(if $(RESULTS),--results $(RESULTS))

chaos-peers: build
	ci/chaos-peers $(BIN)/python --tasks $(PEER_TASKS) --seed $(or $(SEED),1)

soak: build
	$(BIN)/python -m benches.soak --seconds $(SOAK_S)

sim:
	LOKY_SIM_STEPS=$(STEPS) $(if $(SEED),LOKY_SIM_SEED=$(SEED)) ci/sim

fuzz:
	LOKY_FUZZ_INPUTS=$(INPUTS) ci/fuzz

clean:
	rm -rf target dist .venv .venv-peers .venv-other .venv-compat .venv-stdlib .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
