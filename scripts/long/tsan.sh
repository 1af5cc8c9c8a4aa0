#!/usr/bin/env bash
# Runs the whole test suite under the thread sanitizer, several times, since one run can miss a race.
#
#   scripts/long/tsan.sh [--runs N] [ARGUMENT OF swift test...]
#
# N runs (default 3), in a build directory of its own, .build-tsan.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,/^set/{/^#/!q;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

runs=3
arguments=()
while (($# > 0)); do
    case $1 in
    --runs) runs=${2:?--runs needs a number}; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) arguments+=("$1"); shift ;;
    esac
done

install_packages
cd "$root"
common=(--sanitize=thread --scratch-path .build-tsan)
export LARDER_TSAN=1
say "building the tests with the thread sanitizer (some minutes the first time)"
swift build --build-tests "${common[@]}" >&2

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export TSAN_OPTIONS="exitcode=66 ${TSAN_OPTIONS:-}"
failed=0
for ((run = 1; run <= runs; run++)); do
    status=0
    swift test --skip-build --no-parallel "${common[@]}" ${arguments[@]+"${arguments[@]}"} >"$log" 2>&1 || status=$?
    reports=$(grep -c 'WARNING: ThreadSanitizer' "$log" || true)
    summary=$(grep -E 'Test run with .* (passed|failed)' "$log" | tail -n 1 || true)
    say "run $run of $runs: exit status $status, $reports reports; ${summary:-no summary}"
    if ((status != 0 || reports > 0)); then
        failed=$((failed + 1))
        grep -E -A 12 'WARNING: ThreadSanitizer' "$log" | head -n 80 | sed 's/^/    /' || true
        grep -E '✘|error:' "$log" | head -n 20 | sed 's/^/    /' || true
    fi
done
if ((failed > 0)); then
    say "FAIL: tsan: $failed of $runs runs"
    exit 1
fi
say "PASS: tsan: $runs runs without a report"
