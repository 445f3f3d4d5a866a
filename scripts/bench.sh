#!/usr/bin/env bash
# Runs every benchmark of the module, one package after the other, and says on
# which machine. Figures of a busy machine are worth nothing: stop other work.
# Usage: scripts/bench.sh [time per benchmark, default 1s] [name, default all]
set -euo pipefail
echo "machine: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), $(go env GOVERSION), load $(cut -d' ' -f1 /proc/loadavg)"
echo "commit:  $(git rev-parse --short HEAD)$(git diff --quiet || echo ', changed')"
for dir in $(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u); do
  echo "== $dir"
  go test -run '^$' -bench "${2:-.}" -benchtime "${1:-1s}" -benchmem -timeout 30m "./$dir" | grep -v '^\(goos\|goarch\|pkg\|cpu\|PASS\|ok\)'
done
