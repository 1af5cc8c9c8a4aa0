#!/usr/bin/env bash
# Fills a node's RAM, ends the node by SIGTERM and by kill -9, and proves that it has all of it back within two seconds.
# `scripts/long/restart.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload restart.py "$@"
