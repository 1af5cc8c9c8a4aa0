#!/usr/bin/env bash
# Replays a recorded request trace against a node as engines would: with disk for everything, where hits must be those
# of a cache that never evicts, and with little disk, beside LRU's simulated figure. Every byte that comes back is
# compared. `scripts/long/replay.sh --help` lists the settings; the trace is a file of yours.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload replay.py "$@"
