#!/usr/bin/env bash
# 64 clients over three nodes ask for the same 100 cold blocks at once: each crosses the network once for each node and is
# read from disk once. `scripts/long/cluster-hot.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload cluster_hot.py "$@"
