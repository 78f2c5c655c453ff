#!/usr/bin/env bash
# units_test.sh SOURCES PROGRAMS: systemd finds nothing to say about the units, and little that they could do to the machine.
set -euo pipefail
units=$1/deploy/systemd programs=$2
command -v systemd-analyze >/dev/null || { echo "units_test.sh: skipped: systemd-analyze is not here"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The programs are where the build has put them.
for unit in retort-server.service retort-worker@.service; do
  sed "s#/usr/local/bin/#$programs/#" "$units/$unit" >"$folder/$unit"
done
cd "$folder"
said=$(systemd-analyze verify --man=no ./retort-server.service ./retort-worker@.service 2>&1) || { echo "$said"; exit 1; }
if [ -n "$said" ]; then echo "$said"; exit 1; fi
# Exposure from 0 to 100; a unit without any of the options has 96.
systemd-analyze security --no-pager --offline=true --threshold=20 ./retort-server.service | tail -n 1
systemd-analyze security --no-pager --offline=true --threshold=30 ./retort-worker@.service | tail -n 1
