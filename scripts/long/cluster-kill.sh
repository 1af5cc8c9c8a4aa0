#!/usr/bin/env bash
# Kills nodes of a cluster one after the other under load and proves that pinned blocks, which --replicas 2 keeps twice,
# are all still hit, and that the others cost misses and never errors. `scripts/long/cluster-kill.sh --help` lists the
# settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload cluster_kill.py "$@"
