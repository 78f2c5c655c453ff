#!/usr/bin/env bash
# From a bare Debian 12 to a fitted law: installs what is needed, builds, and runs a small sweep on synthetic data through a
# real coordinator and two workers. Everything that it makes is in build/release and in the folder retort-demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '\n== %s\n' "$*" >&2; }

step "1/4 Packages (Debian 12)"
deploy/install.sh

step "2/4 Build (build/release; some ten minutes on two cores the first time)"
cmake --preset release -DRETORT_TESTS=OFF >/dev/null
cmake --build --preset release
retort=$PWD/build/release/bin/retort

step "3/4 Synthetic recordings (retort-demo/demo.safetensors)"
mkdir -p retort-demo
cd retort-demo
cp ../deploy/sweeps/demo.yaml .
"$retort" data synth --out demo.safetensors --subjects 8 --minutes 5 --motion 0.5

step "4/4 A sweep through a coordinator and two workers (retort-demo/demo.yaml)"
"$retort" local demo.yaml --folder data --workers 2

cat <<END

What to type next, from the folder $PWD:
  export PATH="$(dirname "$retort"):\$PATH"
  retort local demo.yaml --folder data     # runs nothing: every job is known; prints the same tables
  \$EDITOR demo.yaml                        # add a student, run it again: only its jobs run
  retort data show demo.safetensors       # what is in a dataset
  retort --help                            # everything else; README.md has a five-minute tour
END
