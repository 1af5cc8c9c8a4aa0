#!/usr/bin/env bash
# Installs the Debian packages that larder is built from and tested with, those that are missing. Says nothing when
# all are there. Needs root or sudo only when something is missing.
set -euo pipefail

# redis-server and fio are only the other side of the comparison in scripts/bench.sh, etcd-server is what clusters are
# tested with; none is started by this.
packages=(librocksdb-dev liblz4-dev libxxhash-dev pkg-config python3 python3-yaml redis-tools openssl)
for option in "$@"; do
    case $option in
        --with-redis-server) packages+=(redis-server) ;;
        --with-fio) packages+=(fio) ;;
        --with-etcd) packages+=(etcd-server etcd-client openssl) ;;
        --with-protoc) packages+=(protobuf-compiler) ;;
        --with-iproute) packages+=(iproute2) ;;
    esac
done

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    if [[ $state != installed ]]; then missing+=("$package"); fi
done
if ((${#missing[@]} == 0)); then exit 0; fi

if ! command -v apt-get >/dev/null; then
    echo "error: install these with your system's package manager: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || {
        echo "error: run as root, or install these yourself: apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi

echo "installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# RUNLEVEL=1 keeps a daemon that comes with a package from being started.
if ! {
    "${as_root[@]}" apt-get -o Acquire::Retries=3 -q update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get -q install -y --no-install-recommends "${missing[@]}"
} >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
