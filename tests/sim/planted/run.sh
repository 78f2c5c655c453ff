#!/bin/bash
# Plants each bug in a scratch copy of the tree, builds the simulation, and prints the seed that finds it.
#
#   tests/sim/planted/run.sh [-n SEEDS] [PATCH...]      all patches of this folder unless some are named
#   tests/sim/planted/run.sh --check                    only whether every patch still fits
#
# Exit code 1 if a bug was not found, or a patch does not fit.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
seeds=3000
check=false
while [[ ${1:-} == -* ]]; do
  case $1 in
    -n) seeds=$2; shift 2 ;;
    --check) check=true; shift ;;
    *) echo "$0: unknown option '$1'; must be -n SEEDS or --check" >&2; exit 2 ;;
  esac
done
patches=("$@")
[[ ${#patches[@]} -gt 0 ]] || patches=("$here"/*.patch)

failed=0
if $check; then
  for patch in "${patches[@]}"; do
    patch --dry-run --silent --force -p1 -d "$root" < "$patch" || { echo "does not fit: $patch"; failed=1; }
  done
  exit $failed
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/retort-planted.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) | tar -xf - -C "$scratch"
cd "$scratch"
cmake --preset dev -DRETORT_TORCH=OFF > cmake.log
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  patch --silent -p1 < "$patch"
  ninja -C build/dev retort_sim > build.log || { tail -20 build.log; exit 1; }
  if build/dev/bin/retort_sim --seeds "1..$seeds" > sim.log; then
    printf '%-24s NOT FOUND in %s seeds\n' "$name" "$seeds"
    failed=1
  else
    printf '%-24s %s\n' "$name" "$(head -1 sim.log | cut -c1-160)"
  fi
  patch --silent -R -p1 < "$patch"
done
exit $failed
