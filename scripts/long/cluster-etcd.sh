#!/usr/bin/env bash
# Kills etcd for two minutes and stops it for one under a cluster with load: nothing that is held is missed, nothing fails,
# and when etcd is back the nodes are soon of one mind. `scripts/long/cluster-etcd.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload cluster_etcd.py "$@"
