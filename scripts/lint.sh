#!/usr/bin/env bash
# The checks of docs/ARCHITECTURE.md, "How the rules are held". Tools are built
# once into build/tools at exact versions, from the module proxy alone.
# Usage: scripts/lint.sh [vulnerability database archive]
set -euo pipefail
vulndb=${1:-}
tools=$PWD/build/tools
mkdir -p "$tools"

tool() { # name module@version
  local mark="$tools/$1@${2##*@}"
  [ -x "$tools/$1" ] && [ -e "$mark" ] && return
  echo "building $1 ${2##*@} …"
  GOBIN=$tools GOFLAGS=-mod=mod go install "$2"
  touch "$mark"
}
fail=0
check() { # title, then the command
  local title=$1; shift
  echo "== $title"
  "$@" || { echo "lint: $title found something (see above)" >&2; fail=1; }
}
formatted() {
  local out
  out=$(git ls-files '*.go' | xargs gofmt -l)
  [ -z "$out" ] || { echo "gofmt would change:"; echo "$out"; return 1; }
}
tidy() {
  go mod verify >/dev/null && go mod tidy -diff
}

vulnerabilities() { # everything that is called and not accepted with a reason
  local out found rest
  out=$("$tools/govulncheck" -db "file://$PWD/build/vulndb" ./... 2>&1) && return
  found=$(grep -oE '^Vulnerability #[0-9]+: GO-[0-9]+-[0-9]+' <<<"$out" | grep -oE 'GO-[0-9-]+' | sort -u)
  [ -n "$found" ] || { echo "$out"; return 1; } # it failed for another reason
  rest=$(comm -23 <(echo "$found") <(grep -oE '^GO-[0-9]+-[0-9]+' scripts/vulns-accepted.txt | sort -u))
  echo "accepted:" $(comm -12 <(echo "$found") <(grep -oE '^GO-[0-9]+-[0-9]+' scripts/vulns-accepted.txt | sort -u)) "(reasons in scripts/vulns-accepted.txt)"
  [ -z "$rest" ] || { echo "$out"; return 1; }
}

check "gofmt" formatted
check "go mod verify, tidy" tidy
check "go vet" go vet ./...
check "imports, bans, docs, links, terms" go test -count=1 ./internal/archtest ./internal/lint
# staticcheck 2026.2.2 is v0.8.2 of its module.
tool staticcheck honnef.co/go/tools/cmd/staticcheck@v0.8.2
check "staticcheck" "$tools/staticcheck" ./...
tool errcheck github.com/kisielk/errcheck@v1.30.0
check "errcheck" "$tools/errcheck" -ignoretests -exclude scripts/errcheck-exclude.txt ./...
tool exhaustive github.com/nishanths/exhaustive/cmd/exhaustive@v0.17.1
# Closed results: what a bank, card, pad, printer, journal or ledger answered.
# Switches over states and events pick a few on purpose; their tables are walked
# whole by tests.
results='/(si|si/ledgerapi|si/hsmapi|settlement/engine|settlement/profile|settlement/banklink|cardauth|cardauth/emv|terminal/device|terminal/hub|terminal/flow)\.(Fund|Channel|PINFormat|Code|PayState|DueState|Proof|Stage|UnpostReason|CardState|MACAlg|Ending|Why|Verdict|CardOutcome|Fault|ReversalStyle|MACScope|Class|MACState|Problem|Outcome|PrinterState|JobState|FailKind|PINEnd|JournalEnd|PaperEnd|Gate)$'
closed() {
  local out
  out=$("$tools/exhaustive" -d -typeonly "$results" ./... 2>&1 | grep -v '_test\.go:' || true)
  [ -z "$out" ] || { echo "$out"; return 1; }
}
check "exhaustive" closed
tool gosec github.com/securego/gosec/v2/cmd/gosec@v2.22.0
check "gosec" "$tools/gosec" -quiet -conf scripts/gosec.json -exclude-dir=simulators -exclude-dir=build ./...
if [ -n "$vulndb" ] && [ -f "$vulndb" ]; then
  tool govulncheck golang.org/x/vuln/cmd/govulncheck@v1.1.4
  rm -rf build/vulndb && mkdir -p build/vulndb
  tar -xzf "$vulndb" -C build/vulndb --strip-components=1
  echo "vulnerability database: $(ls build/vulndb/ID | wc -l) records, newest $(ls build/vulndb/ID | sort -V | tail -1)"
  check "govulncheck" vulnerabilities
else
  echo "== govulncheck: SKIPPED, no database archive (make lint VULNDB=path/to/vulndb.tgz)"
fi
exit $fail
