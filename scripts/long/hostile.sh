#!/usr/bin/env bash
# Slow readers and senders, huge requests, endless calls, silent crowds and guessed passwords by one tenant, while another
# one works. `scripts/long/hostile.sh --help` lists what is expected, the attacks and the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
python_at_least 3 10
run_workload hostile.py "$@"
