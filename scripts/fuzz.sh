#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, one after the other.
# Usage: scripts/fuzz.sh 60s
set -euo pipefail
for pkg in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "== $pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" "$pkg"
  done
done
