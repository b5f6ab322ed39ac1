# Every check of the project. `make test` is the one to run before a change is proposed.

GO       ?= go
TOOL     := $(GO) tool -modfile=internal/tools/go.mod
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 2m
BENCH    ?= .
COUNT    ?= 5
SOAK     ?= .

.PHONY: all build test vet fmt staticcheck race vectors vectors-check lint fuzz bench bench-log bench-trillian soak npm opa trillian trillian-up vuln tidy

all: build lint test

build:
	$(GO) build ./...
	$(GO) build -trimpath -o touchmark ./cmd/touchmark

# The import graph and the command's scripts are Go tests, and so part of race.
test: vet fmt staticcheck vectors-check race

vet:
	$(GO) vet ./...

fmt:
	@files=$$($(GO) list -f '{{.Dir}}' ./... | xargs gofmt -l) || exit 1; \
	if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:"; echo "$$files" | sort -u; exit 1; fi

staticcheck:
	$(TOOL) staticcheck ./...

race:
	$(GO) test -race -timeout 40m ./...

vectors:
	$(GO) run ./internal/vectorgen

vectors-check:
	$(GO) run ./internal/vectorgen -check

# golangci-lint is built on first use, which takes some minutes.
lint:
	$(GO) run $(LINT) run ./...

# Every fuzz target in turn, each for FUZZTIME. On a busy machine the go command now and then ends one with
# "context deadline exceeded" and no input that fails, so a failure is
# tried again: an input that does fail is in testdata/fuzz by then, and fails at once.
fuzz:
	@set -eu; $(GO) list -f '{{$$dir := .Dir}}{{range .TestGoFiles}}{{$$dir}} {{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$$dir}} {{.}}{{"\n"}}{{end}}' ./... \
	| while read -r dir file; do \
		[ -n "$$file" ] || continue; \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$dir/$$file"); do \
			echo "== $${dir#$(CURDIR)/} $$target"; \
			fuzz() { $(GO) test -run "^$$target\$$" -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null; }; \
			fuzz || { echo "== again: $$target"; fuzz; }; \
		done; \
	done

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

# A million records into the embedded log, and a hundred thousand into a Trillian on PostgreSQL, as Markdown and SVG.
RECORDS = 1000000

bench-log: build
	./touchmark log bench --records $(RECORDS) --markdown --plot log-bench.svg --force

bench-trillian: RECORDS = 100000
bench-trillian:
	@TOUCHMARK_LOG_BENCH=$(RECORDS) $(GO) test -count 1 -timeout 2h -v -run '^TestLogBenchOnTrillian$$' ./cmd/touchmark

# The full counts of kills, load and races; CI runs the same tests with reduced ones.
soak: npm
	TOUCHMARK_SOAK=1 TOUCHMARK_REQUIRE_PEERS=1 $(GO) test -count 1 -timeout 120m -v -run '$(SOAK)' ./...

npm:
	cd internal/npm && npm ci

# The Open Policy Agent, for the tests of guard/policy/authzen. It is built once, which takes some minutes.
OPA := .cache/opa-$(shell sed -n 's|.*open-policy-agent/opa \(v[0-9.]*\).*|\1|p' internal/tools/opa/go.mod)

opa: $(OPA)

$(OPA): internal/tools/opa/go.mod internal/tools/opa/go.sum
	$(GO) -C internal/tools/opa build -trimpath -tags opa_no_oci -ldflags '-s -w' -o $(CURDIR)/$@ github.com/open-policy-agent/opa
	@touch $@

# The programs of Trillian, for the tests of translog/trillianlog: some minutes at first.
trillian:
	cd internal/trillian && $(GO) build -tags postgresql,mysql -o ../../bin/ tool

# A Trillian on PostgreSQL to try things with, until it is interrupted. It says at which address.
trillian-up:
	@TOUCHMARK_TRILLIAN_UP=1 $(GO) test -count 1 -timeout 0 -v -run '^TestServe$$' ./translog/trillianlog/trilliantest

# Exits 3 when a vulnerable function is reachable. Needs the vulnerability database.
vuln:
	$(TOOL) govulncheck ./...

tidy:
	$(GO) mod tidy -diff
	cd internal/tools && $(GO) mod tidy -diff
	cd internal/trillian && $(GO) mod tidy -diff
	cd internal/tools/opa && $(GO) mod tidy -diff
