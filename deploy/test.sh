#!/usr/bin/env bash
# Installs, builds and runs all tests. Takes no arguments; leaves the build in build/dev.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deploy/install.sh
cmake --preset dev
cmake --build --preset dev
ctest --preset dev -j "$(nproc)"
