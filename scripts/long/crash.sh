#!/usr/bin/env bash
# kill -9 under four writers, 100 rounds. About ten minutes; --rounds 5 --small-blocks 2000 for a look.
# All options: crash.sh --help
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

build_release
make_work_directory
PYTHONDONTWRITEBYTECODE=1 python3 "$root/scripts/long/crash.py" --larder "$larder" --work "$work" "$@"
