#!/usr/bin/env bash
# Kills a node again and again under four writers and proves that nothing it promised to keep is lost, that no read
# ever returns wrong bytes, and that it is warm again in seconds. `scripts/long/crash.sh --help` lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload crash.py "$@"
