# `make` without a target prints the list of targets.
SHELL   := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN     := bin
# go build with a progress line: GOBUILD NAME DIRECTORY ARGUMENTS...
GOBUILD := go run ./pkg/rig/gobuild/command
# The dev cluster contains Kubernetes. Its first build takes minutes, later ones
# use Go's build cache.
DEVCLUSTER := cmd/devcluster

.PHONY: help
help: ## print this list
	@awk 'BEGIN {FS = ":.*## "; print "usage: make TARGET\n"} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: recorder plugin devcluster ## build watchhistory-recorder, kubectl-watchhistory and devcluster into bin/

.PHONY: recorder
recorder: ## build bin/watchhistory-recorder only
	@CGO_ENABLED=0 $(GOBUILD) watchhistory-recorder . -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/watchhistory-recorder ./cmd/watchhistory-recorder

.PHONY: plugin
plugin: ## build bin/kubectl-watchhistory only
	@CGO_ENABLED=0 $(GOBUILD) kubectl-watchhistory . -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/kubectl-watchhistory ./plugins/kubectl-watchhistory

.PHONY: devcluster
devcluster: ## build bin/devcluster only (the first time takes minutes)
	@test -x $(BIN)/devcluster || echo 'building the dev cluster: the first build on a machine compiles Kubernetes and takes minutes' >&2
	@$(GOBUILD) devcluster $(DEVCLUSTER) '-ldflags=-s -w' -o ../../$(BIN)/devcluster .

.PHONY: demo
demo: build ## start a real control plane, record a broken rollout and show it (KEEP=1 leaves it running)
	$(BIN)/devcluster demo --recorder $(BIN)/watchhistory-recorder --plugin $(BIN)/kubectl-watchhistory $(if $(filter-out 0,$(KEEP)),--keep)

# An incident that was played on the dev cluster and recorded: see
# pkg/rig/incidents.
INCIDENT := pkg/rig/incidents/testdata/configmap-edited.export -n team-13

.PHONY: try
try: plugin ## show a recorded incident with the plugin: no cluster, a minute or two to build
	@echo; echo '$$ kubectl watchhistory -f incident.whx' ; $(BIN)/kubectl-watchhistory -f $(INCIDENT)
	@echo; echo '$$ kubectl watchhistory -f incident.whx why'; $(BIN)/kubectl-watchhistory why -f $(INCIDENT)
	@echo; echo '$$ kubectl watchhistory report -f incident.whx -o incident.html'
	@rm -f $(BIN)/incident.html; $(BIN)/kubectl-watchhistory report -f $(INCIDENT) -o $(BIN)/incident.html
	@echo; echo 'Open $(BIN)/incident.html in a browser. More of it: $(BIN)/kubectl-watchhistory history deploy/web -p -f $(INCIDENT)'

.PHONY: run
run: recorder ## record the current kubeconfig context into ./data and serve 127.0.0.1:8080
	BADGER_PATH=$${BADGER_PATH:-data} $(BIN)/watchhistory-recorder $(ARGS)

.PHONY: test
test: devcluster ## run all tests, including those of the dev cluster and the packaging
	cd $(DEVCLUSTER) && go test ./...
	cd tools && go test ./...
	cd tools/openapi && go test ./...
	go test -timeout 20m ./...

# A package needs a cluster if its tests depend on clustertest, also indirectly.
# test-fast skips the benchmarks' package and tests that take seconds: SLOW names
# them, most of them tests of the store that fill, damage or break a disk. -short
# makes fewer rounds in other tests. pkg/store starts first, because its tests
# take the longest, and next to it the packages whose tests wait. Databases of
# tests are in memory if /dev/shm has a free gigabyte: a disk takes half of the
# time. -vet=off: golangci-lint runs vet.
SLOW := Answer_PartsMakeTheWhole|Close_GivesUpOnFailingFlush|Dictionary_RejectsNewTermsWhenFull
SLOW := $(SLOW)|Append_(ContextEndsWaitForDisk|OnDamageOfAnyBlock|RejectedBeforeTooManyTables|RejectedOnFullVolume)
SLOW := $(SLOW)|Append_(RepairsDamageBeforeItWrites|SurvivesKill)|Backup_(DuringAppends|IncrementalChain)
SLOW := $(SLOW)|Forecast_NamesDamagedFile|Inspect_ReadOnlyVolume|OnDamage_AnswersFromIntactBlocks
SLOW := $(SLOW)|Open_(NoWrongAnswerAfterDamage|ReadsEachTableOnce|RepairsDamagedFile|RepairsOldestDay)
SLOW := $(SLOW)|Prune_(DuringScan|DuringScansAndAppends|FindsOldestDayDespiteDamage|FullVolume|Interrupted)
SLOW := $(SLOW)|Prune_KeepsSizeConstant|Reader_AnswersLikeTheLog|Repair_(KeepsAllVersions|KeepsIntactBlocks)
SLOW := $(SLOW)|Repair_(IgnoresWALAfterDamagedOne|OfEveryBlock|OneFlippedBit|RefusesUnknownFormat)
SLOW := $(SLOW)|Run_FailsOnBrokenLogs|Scan_BoundsPrefetchedBytes|State_ListedPages(AreComplete|CostTheirSize)
SLOW := $(SLOW)|Verify_(FindsAdditionalKeys|FindsMissingKeys)|Watch_CutsOffSlowReader

.PHONY: test-fast
test-fast: ## run the tests that need no cluster and take no seconds each
	@packages=$$(go list -test -f '{{.ImportPath}}{{range .Deps}} {{.}}{{end}}' ./... \
	  | awk '$$1 ~ /[.]test$$/ && !/\/pkg\/rig\/(clustertest|scale)/ {sub(/[.]test$$/, "", $$1); print $$1}' | sort -r \
	  | awk '/\/pkg\/(store|client|api)$$/ {print; next} {rest = rest $$0 "\n"} END {printf "%s", rest}'); \
	memory=$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 1e6 {print "/dev/shm"}'); \
	GOTMPDIR=$${GOTMPDIR:-$${TMPDIR:-/tmp}} TMPDIR=$${memory:-$${TMPDIR:-/tmp}} \
	  go test -vet=off -short -skip '^Test($(SLOW))$$' $$packages

.PHONY: load
load: devcluster ## compare the history with 20,000 writes, and check the order of 10,000 rollouts
	go test -count=1 -v -run 'TestDaemon_RecordsEveryVersionOnce$$' ./pkg/daemon -updates 20000
	go test -count=1 -v -timeout 120m ./pkg/rig/causes -rollouts 10000

.PHONY: soak
soak: devcluster ## check the recorder's memory with 20,000 pods of 7 KB and an hour of churn
	go test -count=1 -v -timeout 90m -run TestMemory_StaysFlatDuringChurn ./pkg/rig/cost -pods 20000 -churn 1h

.PHONY: clients
clients: devcluster ## measure greedy and slow clients of the REST API; needs an idle machine
	go test -count=1 -v -timeout 30m -run TestClients ./pkg/rig/cost -client-versions 6000 -client-time 1m

.PHONY: cost
cost: devcluster ## measure CPU and delay per version on a real API server; needs an idle machine
	go test -count=1 -run '^$$' -bench 'Load' -benchtime 3x -timeout 30m ./pkg/rig/cost
	go test -count=1 -run '^$$' -bench 'Freshness' -benchtime 300x -timeout 30m ./pkg/rig/cost

# The page of a report is written in TypeScript. Its script and style sheet are
# built with Node and checked in, so that all other targets need only Go.
PAGE := pkg/report/page
$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package.json $(PAGE)/package-lock.json
	cd $(PAGE) && npm ci

.PHONY: page
page: $(PAGE)/node_modules/.package-lock.json ## build the script and the style sheet of reports (needs Node 20 or newer)
	cd $(PAGE) && npm run check && npm run build

# The first part fails if the checked-in files are not what the source builds.
.PHONY: test-browser
test-browser: $(PAGE)/node_modules/.package-lock.json ## open real reports in Chromium and use them (CHROMIUM=/usr/bin/chromium)
	cd $(PAGE) && npm run check && npm run build -- --outDir ../../../$(BIN)/page/built
	diff -r $(PAGE)/built $(BIN)/page/built || { echo 'the checked-in page differs from its source: make page builds it' >&2; exit 1; }
	go test -count=1 -run '^TestWriteHTML_Pages$$' ./pkg/report -pages $(CURDIR)/$(BIN)/page/reports
	$(if $(CHROMIUM),CHROMIUM=$(CHROMIUM)) node $(PAGE)/test/browser.mjs $(BIN)/page/reports $(BIN)/page/screenshots

.PHONY: incidents
incidents: ## print how well the causes of recorded incidents are found (RECORD=1 plays and records them again)
	go test -count=1 -v -timeout 30m ./pkg/rig/incidents $(if $(filter-out 0,$(RECORD)),-record)

.PHONY: chaos
chaos: devcluster ## inject faults under load, long form, and compare the history with the writes
	go test -count=1 -v -timeout 60m ./pkg/rig/chaos -long

.PHONY: crash
crash: ## kill a process that appends to the store and damage its files, 100 times (KILLS=n)
	go test -count=1 -v -timeout 60m -run '^Test(Append_SurvivesKill|Open_NoWrongAnswerAfterDamage)$$' ./pkg/store -kills $(or $(KILLS),100)

.PHONY: fuzz
fuzz: ## run each fuzz target for 30 seconds (TIME=10m)
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | { failed=; while IFS=: read -r file target; do \
	  target=$${target#func }; echo "fuzzing $$target in $$(dirname $$file)" >&2; \
	  (cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(TIME),30s) -fuzzminimizetime 10x . </dev/null) || failed="$$failed $$target"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }; }

.PHONY: race
race: devcluster ## run the tests with the race detector
	go test -race -timeout 60m ./...

.PHONY: lint
lint: ## run golangci-lint, which also checks the import directions
	go tool -modfile=tools/lint/go.mod golangci-lint run ./...
	cd $(DEVCLUSTER) && go tool -modfile=../../tools/lint/go.mod golangci-lint run --config ../../.golangci.yaml ./...
	cd tools && go tool -modfile=lint/go.mod golangci-lint run --config ../.golangci.yaml ./...
	cd tools/openapi && go tool -modfile=../lint/go.mod golangci-lint run --config ../../.golangci.yaml ./...

.PHONY: vuln
vuln: ## report known vulnerabilities in code that the programs call
	go tool -modfile=tools/vuln/go.mod govulncheck ./...

.PHONY: fmt
fmt: ## format the code
	go tool -modfile=tools/lint/go.mod golangci-lint fmt ./...

.PHONY: bench
bench: ## run the benchmarks; needs an idle machine
	go test -run '^$$' -bench . -benchmem -p 1 ./pkg/...

.PHONY: bench-storage
bench-storage: ## compare the store with the naive layout, and measure it with up to a million versions
	go test -count=1 -v -run '^$$' -bench AgainstNaive -benchtime 1x -timeout 60m ./pkg/rig/scale -compared 60000
	go test -count=1 -v -run TestStorage_IsSmall -timeout 60m ./pkg/rig/scale -compared 60000
	go test -count=1 -v -run TestScale -timeout 120m ./pkg/rig/scale -versions 10000,100000,1000000 -queries 1000

.PHONY: bench-access
bench-access: ## measure what access control costs, with a million versions in 200 namespaces
	go test -count=1 -v -run TestAccess -timeout 120m ./pkg/rig/scale \
	  -access-versions 1000000 -access-namespaces 200 -access-queries 40

.PHONY: cross
cross: ## build for linux, darwin and windows
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
	  echo "building for $$target" >&2; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/watchhistory-recorder; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 go build -o /dev/null ./plugins/kubectl-watchhistory; \
	done

.PHONY: docs
docs: ## generate docs/cli.md from the plugin's commands, and the OpenAPI document
	go test ./pkg/cli -run TestDocs -update
	go test ./pkg/api -run TestOpenAPI_MatchesGolden -update

.PHONY: clean
clean: ## remove build outputs
	rm -rf $(BIN) dist
