# Targets for people and for CI; CI runs `make check`.

GO       ?= go
FUZZTIME ?= 5s
# Kills of the crash test.
CRASH_KILLS ?= 20
# How long the torture test takes, and what it repeats.
BUDGET ?= 10m
SEED   ?= 0
# What is measured, where the report goes, and further options.
SCENARIO     ?= all
BENCH_REPORT ?= bin/bench
BENCH_FLAGS  ?=

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs a C compiler. Without one, tests run all the same, and say so.
CC_FOUND := $(shell command -v $(firstword $(shell $(GO) env CC) gcc) 2>/dev/null)
ifeq ($(CC_FOUND),)
RACE :=
RACE_NOTE := @echo "no C compiler found: tests run without the race detector"
else
RACE := -race
RACE_NOTE := @:
endif

# cmd/weir/default.pgo changes how every package below cmd/weir is compiled. Tests do without: it would compile all of them once more.
TEST := $(GO) test -pgo=off

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/weir
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir ./cmd/weir

.PHONY: run
run: build ## build and start the service with no configuration
	exec bin/weir serve

.PHONY: fmt
fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

.PHONY: fmt-check
fmt-check: ## fail when the code is not formatted
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: lint
lint: ## go vet and staticcheck
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: test
test: ## run the tests, with the race detector where a C compiler is
	$(RACE_NOTE)
	$(TEST) $(RACE) ./...

.PHONY: race
race: ## run the tests with the race detector, or fail
	$(TEST) -race ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (5s)
	@set -e; log=$$(mktemp); trap 'rm -f "$$log" "$$log.failed"' EXIT; \
	pkgs=$$($(GO) list ./...); for pkg in $$pkgs; do \
		list=$$($(TEST) -list '^Fuzz' $$pkg); \
		for target in $$(echo "$$list" | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$target"; rm -f "$$log.failed"; \
			{ $(TEST) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$pkg 2>&1 || touch "$$log.failed"; } \
				| tee "$$log" | grep --line-buffered -v FAIL || true; \
			if [ ! -e "$$log.failed" ]; then continue; fi; \
			if grep -q '^    context deadline exceeded' "$$log" && ! grep -Eq 'Failing input|panic:|_test.go:' "$$log"; then \
				echo "nothing was found: Go before 1.27 may take the end of the time for a failure (golang/go#75804)"; \
			else cat "$$log"; exit 1; fi; \
		done; \
	done

.PHONY: crash
crash: ## kill the real service CRASH_KILLS (20) times under load and count events
	cd cmd/weir && $(TEST) -run '^TestTorture$$/^kill$$' -count=1 -timeout 0 -torture.kills=$(CRASH_KILLS) -torture.seed=$(SEED)

.PHONY: torture
torture: ## try every fault for BUDGET (10m) and print one table; SEED repeats a run
	cd cmd/weir && $(TEST) -run '^TestTorture$$' -count=1 -timeout 0 -torture.budget=$(BUDGET) -torture.seed=$(SEED)

.PHONY: matrix
matrix: ## strike delivery with every kind of fault on a simulated clock, and print the table
	cd flush/elastic && $(TEST) -run '^TestMatrix$$' -count=1 -matrix.table

.PHONY: mutants
mutants: ## put known bugs back in, and show which test catches each
	$(GO) run ./wal/waltest/mutants

.PHONY: integration
integration: ## test against real servers: WEIR_TEST_ES_URL, WEIR_TEST_ES_START (docs/testing.md)
	@echo "WEIR_TEST_ES_URL, a server that tests may write to: $${WEIR_TEST_ES_URL:-not set, so that every test against a real server skips}"
	@echo "WEIR_TEST_ES_START, a command that starts further servers: $${WEIR_TEST_ES_START:-not set, so that tests skip which limit, kill or guard a server}"
	$(TEST) ./flush/elastic ./cmd/weir -run '^TestReal_' -count=1 -v -timeout 15m

.PHONY: bench
bench: ## measure in under ten minutes, or one SCENARIO; the report goes into BENCH_REPORT (bin/bench)
	$(GO) run ./bench --scenario $(SCENARIO) --report $(BENCH_REPORT) $(BENCH_FLAGS)

.PHONY: bench-all
bench-all: ## measure everything, with longer windows; BENCH_FLAGS adds options (go run ./bench --help); more than an hour
	$(GO) run ./bench --scenario $(SCENARIO) --full --seconds 2 --report $(BENCH_REPORT) $(BENCH_FLAGS)

.PHONY: bench-short
bench-short: ## put every load that is quickly done on every target once; only the checks count, not the speed
	$(GO) run ./bench --seconds 0.1 --rounds 1 --longest-round 2s $(BENCH_FLAGS) >/dev/null

# What most do: an event a request, and many, as they are and through a script.
PGO_PROFILES := bin/profiles/weir-[0-9]*.cpu.pprof bin/profiles/weir-*-line-script-[0-9]*.cpu.pprof

.PHONY: pgo
pgo: ## refresh cmd/weir/default.pgo, with which go build compiles weir, from profiles of the benchmark (2 minutes)
	rm -rf bin/profiles
	$(GO) run ./bench --scenario ack,delivery --rounds 1 --seconds 6 --profile bin/profiles
	$(GO) tool pprof -proto $(PGO_PROFILES) > bin/merged.pprof
	mv bin/merged.pprof cmd/weir/default.pgo

.PHONY: check
check: ## all of the quick ones: formatting, lint, fuzz, crash, matrix, short benchmark, tests
	$(MAKE) --no-print-directory fmt-check
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory fuzz
	$(MAKE) --no-print-directory crash
	$(MAKE) --no-print-directory matrix
	$(MAKE) --no-print-directory bench-short
	$(MAKE) --no-print-directory test

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
	$(GO) clean -testcache
