#!/usr/bin/env bash
# Cuts and heals the links between three nodes, each in a network namespace, at random under load, and proves that no byte
# is ever wrong, no call hangs, and cuts and healings are seen in time. `scripts/long/cluster-partition.sh --help` lists
# the settings. Needs root.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-iproute --with-etcd; fi
run_workload cluster_partition.py "$@"
