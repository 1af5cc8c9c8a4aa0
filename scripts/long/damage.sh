#!/usr/bin/env bash
# 1,000 bit flips and truncations in a stopped data directory. About ten minutes; --trials 50 for a look.
# All options: damage.sh --help
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

build_release
make_work_directory
PYTHONDONTWRITEBYTECODE=1 python3 "$root/scripts/long/damage.py" --larder "$larder" --work "$work" "$@"
