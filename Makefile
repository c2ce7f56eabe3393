# Chronicle. `make run` shows it at work; `make test` is everything that must pass.
SHELL       := /bin/bash
.DEFAULT_GOAL := build
BIN         := bin/chronicle
TOOLS       := $(CURDIR)/.tools
VENV        := .venv
STATICCHECK_VERSION := v0.8.2
STATICCHECK := $(TOOLS)/staticcheck-$(STATICCHECK_VERSION)
GOTESTFLAGS ?=
GO          ?= go

.PHONY: build run test unit race lint truth clients bench soak fmt clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

build: ## build bin/chronicle
	@command -v $(GO) >/dev/null || { echo "Go is not installed: get it from your system's packages (1.26 or newer)"; exit 1; }
	$(GO) build -buildvcs=auto -o $(BIN) ./cmd/chronicle

run: build $(VENV)/.installed ## build, then run everything in one process on embedded defaults (Ctrl-C ends it)
	@exec $(BIN) run

test: lint race clients truth ## everything that must pass

race: ## unit tests with the race detector
	$(GO) test -race $(GOTESTFLAGS) ./...

unit: ## unit tests without it
	$(GO) test $(GOTESTFLAGS) ./...

truth: ## recordings against their ground truth, read back through the archive, and the kill tests
	$(GO) test -count=1 -timeout 20m ./tests -truth

clients: build $(VENV)/.installed ## real clients (pyarrow, pandas, Polars) against a running server
	$(VENV)/bin/python clients/python/tests/run.py $(BIN)

soak: ## the same drills, many more rounds
	CHRONICLE_SOAK=200 $(GO) test -count=1 -timeout 4h ./store/... ./ingest/... ./tests/proof
	CHRONICLE_SOAK=200 $(GO) test -count=1 -timeout 4h ./tests -truth

bench: ## measured ratios, printed as the README's table
	$(GO) run ./bench

lint: $(STATICCHECK) ## gofmt, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...

$(STATICCHECK):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	@mv $(TOOLS)/staticcheck $@

$(VENV)/.installed: clients/python/tests/requirements.txt
	@command -v python3 >/dev/null || { echo "python3 (3.10 or newer) is not installed"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

fmt:
	gofmt -w $$(git ls-files '*.go')

clean: ## remove what was built (not your data)
	rm -rf bin $(TOOLS) $(VENV)
