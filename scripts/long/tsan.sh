#!/usr/bin/env bash
# The test suite under the thread sanitizer. Extra arguments go to swift test.
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

"$root/scripts/install.sh"
cd "$root"
# RocksDB and its kind come without the sanitizer's marks, so what they do among themselves looks like races.
TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 suppressions=$root/scripts/long/tsan.suppressions" \
    swift test --sanitize=thread --scratch-path "$root/.build/tsan" "$@"
say "passed: no race reported"
