#!/usr/bin/env bash
# Throughput of three nodes beside one on this machine, and the latency of near, owner and peer hits.
# `scripts/long/cluster-speed.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload cluster_speed.py "$@"
