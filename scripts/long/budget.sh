#!/usr/bin/env bash
# Writes many times the disk budget through a node at a steady rate and watches that disk, memory and write
# amplification stay within their bounds and that no put is refused. `scripts/long/budget.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload budget.py "$@"
