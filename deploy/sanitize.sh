#!/usr/bin/env bash
# Builds and runs the tests under sanitizers: address and undefined behaviour for all that does not link LibTorch, threads for
# what has threads of our own. Takes no arguments; leaves the builds in build/asan and build/tsan. test.sh comes first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for preset in asan tsan; do
  cmake --preset "$preset"
  cmake --build --preset "$preset"
  ctest --preset "$preset" -j "$(nproc)"
done
