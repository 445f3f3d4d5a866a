#!/usr/bin/env bash
# Compares this tree with another commit: the ledger's Go benchmarks and a short
# load of the ledger, run in turn so that both meet the same machine, medians and
# their ratio. Above 1 is better for rates and worse for everything else.
# Usage: scripts/bench-compare.sh COMMIT [rounds, default 5]
set -euo pipefail
ref=${1:-}
rounds=${2:-5}
[ -n "$ref" ] || { echo "which commit? make bench-compare REF=v0.1.0" >&2; exit 1; }
commit=$(git rev-parse --verify --short "$ref^{commit}")
tmp=$(mktemp -d)
trap 'git worktree remove --force "$tmp/old" >/dev/null 2>&1 || true; rm -rf "$tmp"' EXIT
git worktree add --detach --quiet "$tmp/old" "$commit"
here=$PWD
# Which benchmarks of a package, and how many iterations of each.
packages="ledger/core ledger"
declare -A which=([ledger/core]='^Benchmark(Pay|ReservePost)$' [ledger]='^Benchmark(Null|Pay)$/^inflight=(64|1024)$')
declare -A often=([ledger/core]=200000x [ledger]=50000x)
for side in old new; do
  dir=$here
  [ $side = new ] || dir=$tmp/old
  echo "building $side ($(git -C "$dir" rev-parse --short HEAD)) …"
  (cd "$dir" && go build -o "$tmp/simulate-$side" ./cmd/simulate)
  for p in $packages; do
    (cd "$dir" && go test -c -o "$tmp/$side-${p//\//-}.test" "./$p") >/dev/null
  done
done
steal() { awk '/^cpu /{print $9, $2+$3+$4+$5+$6+$7+$8+$9}' /proc/stat; }
before=$(steal)
for round in $(seq "$rounds"); do
  echo "round $round of $rounds"
  for side in old new; do
    dir=$here
    [ $side = new ] || dir=$tmp/old
    for p in $packages; do
      (cd "$dir/$p" && "$tmp/$side-${p//\//-}.test" -test.run '^$' -test.bench "${which[$p]}" \
        -test.benchtime "${often[$p]}" -test.timeout 10m) |
        awk -v s=$side '/^Benchmark/{sub(/-[0-9]+$/,"",$1); for (i=3; i<NF; i+=2) print s, $1" "$(i+1), $i}' >>"$tmp/figures"
    done
    "$tmp/simulate-$side" load --path ledger --seconds 5 --persons 100000 --dues 500000 2>/dev/null |
      tr ',{}' '\n' | sed -n 's/^"\(per_second\|p99_ms\|cpu_us_per_payment\|log_bytes_per_payment\|heap_bytes_per_due\)":/\1 /p' |
      awk -v s=$side '{print s, "load "$1, $2}' >>"$tmp/figures" || true
  done
done
after=$(steal)
echo
printf '%-44s %14s %14s %8s\n' "median of $rounds rounds" "$commit" "this tree" "ratio"
sort -k2,3 -k1,1 -k4,4g "$tmp/figures" | awk '
  {key=$2" "$3; n[$1,key]++; v[$1,key,n[$1,key]]=$4; if (!(key in seen)) {seen[key]=1; order[++k]=key}}
  END {for (i=1; i<=k; i++) {key=order[i]; a=v["old",key,int((n["old",key]+1)/2)]; b=v["new",key,int((n["new",key]+1)/2)]
    printf "%-44s %14s %14s %8s\n", key, a==""?"-":sprintf("%.4g", a), b==""?"-":sprintf("%.4g", b), (a>0 && b!="")?sprintf("%.2f", b/a):"-"}}'
echo "$before $after" | awk '{s=100*($3-$1)/($4-$2); printf "steal %.1f %%%s\n", s, (s > 2 ? ": void" : "")}'
