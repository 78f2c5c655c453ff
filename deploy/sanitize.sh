#!/usr/bin/env bash
# Builds and runs the tests under sanitizers: `asan` (address and undefined behaviour) for all that does not link LibTorch, `tsan` for
# what has threads of our own. Both, or those that are named; leaves the builds in build/asan and build/tsan. test.sh comes first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- asan tsan
for preset in "$@"; do
  cmake --preset "$preset"
  cmake --build --preset "$preset"
  ctest --preset "$preset" -j "$(nproc)"
done
