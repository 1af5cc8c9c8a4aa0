#!/usr/bin/env bash
# Larder and Redis 7.0 under the same client, in one run, in rounds between each other: GET and SET of 2 MiB at 1 and 4
# in flight, and KV.MATCH of 1,000 keys against 1,000 pipelined EXISTS. `scripts/long/speed.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then
    command -v redis-server >/dev/null || install_packages --with-redis-server
fi
run_workload speed.py "$@"
