#!/usr/bin/env bash
# Damages the data directory of a stopped node at random, again and again, and proves that every read is right or a
# miss and that the node always starts. `scripts/long/damage.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload damage.py "$@"
