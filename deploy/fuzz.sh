#!/usr/bin/env bash
# Builds the fuzz targets with clang (build/fuzz) and runs each from its kept corpus: 3,000 inputs that are the same each time, as CI
# does, or, with a number of seconds, others each time. tests/fuzz/README.md says what they are. Ends with a failure at the first
# crash; its input is in build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-}
[[ $seconds =~ ^[0-9]*$ ]] || { echo "fuzz.sh: $seconds: expected whole seconds for each target" >&2; exit 2; }

cmake --preset fuzz
cmake --build --preset fuzz
crashes=build/fuzz/crashes
mkdir -p "$crashes"
passed=0
for corpus in tests/fuzz/corpus/*/; do
  target=$(basename "$corpus")
  found=build/fuzz/found/$target
  limit=(-max_total_time="$seconds")
  if [ -z "$seconds" ]; then
    limit=(-seed=1 -runs=3000)
    found=build/fuzz/same/$target
    rm -rf "$found"
  fi
  mkdir -p "$found"
  log=build/fuzz/$target.log
  # Some inputs end in an error that is told: those lines are the readers', not the fuzzer's.
  if ! build/fuzz/bin/"fuzz_$target" "${limit[@]}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$crashes/$target-" "$found" "$corpus" >"$log" 2>&1; then
    tail -40 "$log"
    echo "fuzz.sh: $target: a crash; its input is in $crashes" >&2
    exit 1
  fi
  printf '%-12s %12s inputs, %s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
    "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -1)"
  passed=$((passed + 1))
done
echo "fuzz: $passed passed, 0 failed"
