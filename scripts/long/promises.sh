#!/usr/bin/env bash
# Random operations, kills, stops and restarts against a cluster of three, held to a model of what may be answered.
# `scripts/long/promises.sh --help` lists what is expected and the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
if ! wants --help "$@" && ! wants -h "$@"; then install_packages --with-etcd; fi
run_workload promises.py "$@"
