# shebao: targets a person uses. `make run` and `make test` install what is
# missing (they say what first); everything else expects that to have happened.
SHELL := /bin/bash
PERSONS ?= 1000
FRESH ?=
SEEDS ?= 500
SIM := --payments 2600 --twice 50 --oracle sql --json
HOURS ?= 12
PART ?=
KILLS ?= 200
GOFLAGS_BUILD := -trimpath
VULNDB ?= ../shared/vulndb.tgz
export CGO_ENABLED = 1
export GOTOOLCHAIN = local

.PHONY: help build run test sim crash planted fuzz soak test-long lint e2e bench bench-go bench-compare images clean setup-run setup-test setup-bench

help:
	@sed -n 's/^## //p' Makefile

## make run            build and start everything on this machine (FRESH=1 begins anew, PERSONS=N residents)
run: setup-run build
	@exec bin/simulate demo --persons $(PERSONS) $(if $(FRESH),--fresh)

## make test           install what is missing and run every test in random order, the browser tests included
test: setup-test build planted fuzz
	bin/simulate world --seeds 1-500 $(SIM)
	go test -race -shuffle=on -timeout 40m ./...

## make sim            days of the whole system on virtual time (SEEDS=n of them), with a report in docs/reports
sim: build
	bin/simulate world --seeds 1-$(SEEDS) $(SIM) --report docs/reports

## make crash          kill -9 at every point and a disk that loses unsynced writes, with a report (KILLS=n kills)
crash: setup-test build
	go test -count=1 -run 'Crash|EveryByte|EveryFlip|TestMount|TestFailures' ./internal/faultfs ./ledger/replog ./terminal/journal
	bin/simulate crash --kills $(KILLS) --report docs/reports --json

## make planted        planted bugs, each found by its seed
planted:
	go test -tags planted -count=1 -run 'TestPlanted|TestChecksMatter' ./simulators/world ./simulators/oracle ./ledger/replog ./cmd/simulate

## make fuzz           every fuzz target for a second
fuzz:
	@bash scripts/fuzz.sh 1s

## make soak           hours of proof in parts (HOURS=h, PART=sim|mutants|crash|process|fuzz|mutation), with reports in docs/reports
soak: setup-test build
	bin/simulate soak --hours $(HOURS) $(if $(PART),--part $(PART)) --report docs/reports

## make build          all programs into bin/
build: setup-build
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/...

## make lint           gofmt, vet, staticcheck, errcheck, exhaustive, gosec, govulncheck and our own checks
lint: setup-build
	@bash scripts/lint.sh "$(VULNDB)"

## make e2e            the real programs, a real pcscd and a real browser only
e2e: setup-test build
	go test -race -shuffle=on -count=1 -timeout 15m ./simulators/stage/... ./cmd/...

## make bench          the bars side by side with other engines, into docs/benchmarks.md (BENCH=--short for minutes)
bench: setup-bench build
	@bin/simulate bench --out docs/benchmarks.md $(BENCH)

## make bench-go       every Go benchmark, with the machine it ran on
bench-go: build
	@bash scripts/bench.sh

## make bench-compare  Go benchmarks and a short load of REF and of this tree in turn, and their ratios
bench-compare: build
	@bash scripts/bench-compare.sh "$(REF)"

## make test-long      every fuzz target for a minute
test-long: setup-test
	@bash scripts/fuzz.sh 60s

## make images         the kiosk's pictures for the docs, made by the browser tests
images: setup-test build
	KIOSK_IMAGES=$(CURDIR)/docs/images/kiosk go test -count=1 -timeout 15m -run TestPictures ./terminal/kiosk

.PHONY: setup-build
setup-build:
	@bash scripts/need.sh build
setup-run:
	@bash scripts/need.sh build run
setup-bench:
	@bash scripts/need.sh build bench
setup-test:
	@bash scripts/need.sh build run test

clean:
	rm -rf bin build
