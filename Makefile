# Thin: Meson builds (tools/build.sh), tools/run_tests.py tests. `make help` lists the targets.
.DEFAULT_GOAL := build
PYTHON := .venv/bin/python
FUZZ_SECONDS ?= 60

.PHONY: build debug deps test demo bench fuzz asan tsan lint format docs install clean help

build: deps ## release build: build/src/cli/banyan
	@tools/build.sh release

debug: deps ## build without optimisation, in build-debug/
	@tools/build.sh debug

deps: ## Debian packages and the Python environment, where missing
	@tools/deps.sh

test: deps ## everything: build, lint, unit, integration, sanitizers
	@$(PYTHON) tools/run_tests.py

demo: build ## a live shop from PostgreSQL to MongoDB in a few minutes; KEEP=1 leaves it running
	@$(PYTHON) examples/shop/demo.py $(if $(filter 1,$(KEEP)),--keep)

bench: build ## figures, into docs/performance.md; BENCH="--quick shadow dual" only shows these
	@$(PYTHON) bench/run.py $(or $(BENCH),--write)

fuzz: deps ## every fuzzer for FUZZ_SECONDS (60) each
	@tools/fuzz.sh $(FUZZ_SECONDS)

asan: deps ## unit tests and a part of the integration tests under ASan and UBSan
	@$(PYTHON) tools/run_tests.py asan

tsan: deps ## the same under TSan
	@$(PYTHON) tools/run_tests.py tsan

lint: deps ## format, layers, lengths, clang-tidy, generated docs
	@$(PYTHON) tools/run_tests.py lint

format: deps ## format all C files
	@tools/check_format.sh --fix

docs: build ## the generated pages of docs/
	@build/src/cli/banyan config docs >docs/configuration.md.new
	@mv docs/configuration.md.new docs/configuration.md
	@build/src/cli/banyan metrics docs >docs/metrics.md.new
	@mv docs/metrics.md.new docs/metrics.md

install: build ## to PREFIX (/usr/local); DESTDIR is honoured
	@meson install -C build --no-rebuild

clean: ## remove what was built
	@rm -rf build build-debug build-asan build-tsan build-fuzz

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
