#!/usr/bin/env bash
# Installs what building and running Retort needs, from Debian 12's own packages. As root, or with sudo.
# Does nothing, and needs no network, where all of it is there. With --bench: also what tests/bench compares with.
set -euo pipefail

packages=(
  build-essential cmake ninja-build ccache mold pkg-config git ca-certificates
  protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev
  libtorch-dev
  libopenblas0-pthread  # LibTorch calls whatever BLAS is installed; the reference BLAS is several times slower
  libsqlite3-dev libabsl-dev libspdlog-dev libssl-dev
  libcli11-dev prometheus-cpp-dev libyaml-cpp-dev libceres-dev libmatio-dev zlib1g-dev nlohmann-json3-dev
  libjs-chart.js  # plots of reports; compiled into retort
  libgtest-dev libgmock-dev libbenchmark-dev
  clang libclang-rt-dev  # libFuzzer
  iproute2               # tests/netns
  python3-grpcio python3-protobuf python3-pandas python3-venv python3-pip python3-setuptools python3-wheel  # client/python
  slurm-wlm munge  # tests/launch starts a Slurm of its own
  python3-yaml  # and reads what deploy/ says to Kubernetes and Docker
  python3-numpy python3-scipy python3-torch  # tests hold weights, their import and converted recordings against these
)
case "${1:-}" in
  "") ;;
  --bench) packages+=(python3-distributed) ;;
  *) echo "install.sh: $1: expected nothing, or --bench" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install.sh: run it as root, or install sudo; missing: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
