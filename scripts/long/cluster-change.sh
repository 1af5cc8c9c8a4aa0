#!/usr/bin/env bash
# Replays a recorded request trace against three nodes: as they are, while one drains and leaves, and while one joins, and
# proves that hits stay within two points and every byte is right. `scripts/long/cluster-change.sh --help` lists the
# settings; the trace is a file of yours.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload cluster_change.py "$@"
