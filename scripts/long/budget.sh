#!/usr/bin/env bash
# 20 GiB through a node with 1 GiB of RAM and 4 GiB of disk, with bounds on all it takes. About two minutes.
# All options: budget.sh --help
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

build_release
make_work_directory
PYTHONDONTWRITEBYTECODE=1 python3 "$root/scripts/long/budget.py" --larder "$larder" --work "$work" "$@"
