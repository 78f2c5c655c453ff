#!/usr/bin/env bash
# Renders the overlays and holds them against Kubernetes' published API schema, without a cluster. Needs kubectl (or kustomize),
# python3 with PyYAML, and node with npm. `check.sh [FOLDER]`: where the rendered files and the npm packages go (build/kubernetes).
# Exit code 77: something that it needs is not here; the last line says what.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=${1:-../../build/kubernetes}
mkdir -p "$out"
out=$(cd "$out" && pwd)

skip() { echo "check.sh: skipped: $*"; exit 77; }
render() { if command -v kustomize >/dev/null; then kustomize build "$1"; else kubectl kustomize "$1"; fi; }
command -v kustomize >/dev/null || kubectl kustomize --help >/dev/null 2>&1 || skip "neither kubectl nor kustomize is here"
command -v npm >/dev/null || skip "npm is not here"
/usr/bin/python3 -c 'import yaml' 2>/dev/null || skip "python3-yaml is not here"

cp check/package.json check/check.mjs "$out"
cmp -s check/package.json "$out/installed.json" ||
  { (cd "$out" && npm install --no-package-lock --no-audit --no-fund --silent >npm.log 2>&1) || skip "npm cannot install: $(tail -n 1 "$out/npm.log")"; cp check/package.json "$out/installed.json"; }

# The access file is the operator's: a copy of the manifests gets one to render with.
rm -rf "$out/manifests"
mkdir "$out/manifests"
cp -r access base overlays "$out/manifests"
echo '{"token": "none"}' >"$out/manifests/access/worker.access"
for name in base overlays/cpu overlays/gpu; do
  json=$out/${name//\//-}.json
  render "$out/manifests/$name" >"$out/rendered.yaml"
  /usr/bin/python3 -c 'import json, sys, yaml; json.dump([o for o in yaml.safe_load_all(sys.stdin) if o], sys.stdout)' <"$out/rendered.yaml" >"$json"
  (cd "$out" && node check.mjs "$json")
done
