#!/usr/bin/env bash
# Feeds every fuzz target of the module for the given time, two at once.
# Usage: scripts/fuzz.sh 60s [TARGET …]   (a target is PACKAGE/FuzzName, such as cardauth/tlv/FuzzParse)
#        scripts/fuzz.sh --list           names them
#
# What was found interesting is kept in Go's build cache for the next time. An
# input that breaks a target is written to testdata/fuzz of its package: mend
# what it breaks, and commit it. The last line counts.
set -euo pipefail
cd "$(dirname "$0")/.."
time="${1:?how long each target is fed, such as 60s}"
shift
jobs=2
out="build/fuzz"
mkdir -p "$out"
cache="$(go env GOCACHE)/fuzz-shebao"

all=$(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^\./(.*)/[^/]*_test\.go:func (Fuzz.*)$|\1/\2|' | sort)
if [ "$time" = --list ]; then
  printf '%s\n' "$all"
  exit
fi
[ $# -eq 0 ] || all=$(printf '%s\n' "$@")

for pkg in $(printf '%s\n' "$all" | xargs -n1 dirname | sort -u); do
  go test -c -fuzz=. -o "$out/${pkg//\//-}.test" "./$pkg"
done

one() { # PACKAGE/Target
  local pkg name log n
  pkg=$(dirname "$1") name=$(basename "$1") log="$out/${1//\//-}.log"
  if (cd "$pkg" && "$OLDPWD/$out/${pkg//\//-}.test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" \
    -test.fuzzcachedir "$cache/$pkg" -test.parallel 1) >"$log" 2>&1 || ended "$log"; then
    n=$(grep -oE 'execs: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+' || true)
    echo "ok $1 ${n:-0} executions"
  else
    echo "FAILED $1"
    tail -30 "$log" | sed 's/^/  /'
  fi
}

# Package testing calls it a failure when the time is over while it is busy
# inside. It is none: it names no input.
ended() {
  grep -q '^ *context deadline exceeded$' "$1" && ! grep -qE 'Failing input|panic:|seed#' "$1"
}
export -f one ended
export out time cache

printf '%s\n' "$all" | xargs -P "$jobs" -I{} bash -c 'one {}' | tee "$out/all.log"
failed=$(grep -c '^FAILED' "$out/all.log" || true)
awk -v f="$failed" '/^ok / {n++; e+=$3} END {printf "fuzz: %d targets fed, %d executions, %d failed\n", n+f, e, f}' "$out/all.log"
[ "$failed" = 0 ]
