#!/usr/bin/env bash
# Redis's own clients against a node: redis-py in RESP2 and RESP3, redis-cli, redis-benchmark, and, where a
# redis-server is installed, the same raw commands to both with replies compared byte for byte.
# `scripts/long/redis-clients.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then
    command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null || install_packages
    python_with redis-py redis==8.1.0
fi
run_workload redis_clients.py "$@"
