# The two commands: `make run` serves the example, `make test` proves the rest.
# Every target sets up what it needs: a virtual environment in .venv, Debian's packages through `make deps`.

PYTHON ?= python3
PYTHONS ?=
VENV := .venv
BIN := $(VENV)/bin
CARGO ?= cargo
# Nearly the released code in a fraction of its build time.
PROFILE ?= fast
# How many requests `make smuggling` bends: so many for the parsers, a fifth of it through each proxy.
MUTANTS ?= 400000
# The extension modules: what leaves CPython's symbols to the interpreter cannot be linked into a test program.
NOT_TESTED := --exclude kirsch-python --exclude kirsch-extension --exclude two-hosts
SOURCES := $(shell find crates python -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi') Cargo.toml Cargo.lock pyproject.toml
TWO_HOSTS := $(shell find examples/two-hosts/server -name '*.rs' -o -name '*.toml')
RUST_TESTS = $(shell command -v cargo-nextest >/dev/null 2>&1 && echo "nextest run" || echo test)

.PHONY: run run-two-hosts test test-fast test-rust test-loom test-python test-pythons asan fuzz soak soak-references smuggling lint lint-rust lint-python format docs bench deps clean

run: $(VENV)/.built-example
	cd examples/blog && ../../$(BIN)/kirsch blog:app --bind 127.0.0.1:8000

run-two-hosts: $(VENV)/.built-two-hosts requirements/two-hosts.txt
	$(BIN)/pip install -q --disable-pip-version-check -r requirements/two-hosts.txt
	$(BIN)/two-hosts --config examples/two-hosts/kirsch.toml

test: deps lint test-rust test-loom test-python

test-fast: $(VENV)/.built-test
	$(CARGO) $(RUST_TESTS) --workspace $(NOT_TESTED)
	cd tests && ../$(BIN)/python -m pytest -q -m "not slow"

test-rust:
	$(CARGO) $(RUST_TESTS) --workspace $(NOT_TESTED)
	$(CARGO) test -q --doc --workspace $(NOT_TESTED)

# The model checker replaces the pool's primitives, so it has a build of its own.
test-loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test -q -p kirsch-pool --profile loom --lib

test-python: $(VENV)/.built-test
	cd tests && ../$(BIN)/python -m pytest -q

# The differential tests with many more bent requests than `make test` has.
smuggling: deps $(VENV)/.built-test
	cd tests && KIRSCH_SMUGGLING_MUTANTS=$(MUTANTS) ../$(BIN)/python -m pytest -q test_smuggling.py

# Every interpreter that is installed, or those that PYTHONS names: make test-pythons PYTHONS="python3.10 python3.13"
test-pythons:
	tools/test-pythons.sh $(PYTHONS)

# Mixed load with faults, every byte compared: make soak MINUTES=60, with LOG=soak/LOG.md written down
MINUTES ?= 10
soak: $(VENV)/.built-test
	cd tests && PYTHONPATH=apps ../$(BIN)/python -m soak.run --minutes $(MINUTES) $(if $(LOG),--log $(LOG))

# Every fuzz target for so many seconds; what `make test` tries of each is in crates/kirsch-fuzz.
SECONDS ?= 60
fuzz:
	tools/fuzz.sh $(SECONDS)

# The fenced unsafe code, and all below it, under AddressSanitizer.
asan: $(VENV)/.built-test
	tools/asan.sh

# References, objects and memory over a million requests.
soak-references: $(VENV)/.built-test
	cd tests && KIRSCH_SOAK_REQUESTS=1000000 ../$(BIN)/python -m pytest -q -s test_leaks.py -k references

lint: lint-rust lint-python

lint-rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy -q --workspace --all-targets -- -D warnings
	$(CARGO) run -q -p xtask -- docs --check
	$(CARGO) run -q -p xtask -- licences
	$(CARGO) run -q -p xtask -- fence

lint-python: $(VENV)/.built-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/migrating.py --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest kirsch._kirsch --ignore-disjoint-bases

format:
	$(CARGO) fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.built-test
	$(CARGO) run -q -p xtask -- docs
	$(BIN)/python tools/migrating.py

bench:
	PYTHON=$(PYTHON) tools/deps.sh bench
	$(MAKE) PROFILE=release $(VENV)/.built-test
	$(CARGO) build -q --release -p kirsch-server --example floor
	$(CARGO) build -q --release -p kirsch-files --example files
	$(CARGO) build -q --release -p kirsch-tls --example handshakes
	$(BIN)/python bench/environment.py
	$(BIN)/python bench/run.py

deps:
	PYTHON=$(PYTHON) tools/deps.sh test

clean:
	rm -rf target $(VENV) .venvs .cache

$(VENV)/.made: requirements/build.txt
	PYTHON=$(PYTHON) tools/deps.sh run
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements/build.txt
	touch $@

# The package, installed into the environment as pip would, but with the quicker profile.
$(VENV)/.built-$(PROFILE): $(VENV)/.made $(SOURCES)
	VIRTUAL_ENV=$(VENV) $(BIN)/maturin develop -q --profile $(PROFILE)
	rm -f $(VENV)/.built-fast $(VENV)/.built-release
	touch $@

$(VENV)/.built-example: $(VENV)/.built-$(PROFILE) requirements/example.txt
	$(BIN)/pip install -q --disable-pip-version-check -r requirements/example.txt
	touch $@

# The engine with a Rust application, and its command. Without its dependency, which is the package of this tree.
$(VENV)/.built-two-hosts: $(VENV)/.built-example $(TWO_HOSTS)
	cd examples/two-hosts/server && VIRTUAL_ENV=$(CURDIR)/$(VENV) ../../../$(BIN)/maturin develop -q --profile $(PROFILE)
	touch $@

$(VENV)/.built-test: $(VENV)/.built-two-hosts requirements/test.txt
	$(BIN)/pip install -q --disable-pip-version-check -r requirements/test.txt
	touch $@
