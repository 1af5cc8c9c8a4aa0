#!/usr/bin/env bash
# Runs every fuzz target of Tests/Fuzz under libFuzzer.
#
#   scripts/long/fuzz.sh [--seconds N] [--seed N] [TARGET...]
#
# N seconds for each target (default 600); all targets unless some are named. What a target learned is kept in
# .build-fuzz/corpus and used again. Ends with 1 when a target trapped; the input is then in .build-fuzz/crashes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,/^set/{/^#/!q;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

seconds=600
seed=$RANDOM$RANDOM
targets=()
while (($# > 0)); do
    case $1 in
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --seed) seed=${2:?--seed needs a number}; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    -*) die "unknown option $1; see --help" ;;
    *) targets+=("$1"); shift ;;
    esac
done
if ((${#targets[@]} == 0)); then
    for directory in "$root"/Tests/Fuzz/*/; do targets+=("$(basename "$directory")"); done
fi
[[ -d $root/Tests/Fuzz/${targets[0]} ]] || die "no fuzz target in Tests/Fuzz"

install_packages
cd "$root"
scratch=.build-fuzz
export LARDER_FUZZ=1
# Swift's own crash handler would take the trap from libFuzzer, and the input would be lost.
export SWIFT_BACKTRACE=enable=no
for target in "${targets[@]}"; do
    say "building $target"
    swift build -c release --sanitize=fuzzer --scratch-path "$scratch" --product "$target" >&2
done
programs=$(swift build -c release --sanitize=fuzzer --scratch-path "$scratch" --show-bin-path)

mkdir -p "$scratch/crashes"
log=$(mktemp)
fuzzer=""
clean_up() {
    if [[ -n $fuzzer ]]; then kill "$fuzzer" 2>/dev/null || true; fi
    rm -f "$log"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

failed=()
for target in "${targets[@]}"; do
    corpus="$scratch/corpus/$target"
    mkdir -p "$corpus"
    arguments=(-max_total_time="$seconds" -seed="$seed" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1
        -artifact_prefix="$scratch/crashes/$target-")
    for dictionary in Tests/Fuzz/"$target"/*.dict; do
        if [[ -f $dictionary ]]; then arguments+=(-dict="$dictionary"); fi
    done
    arguments+=("$corpus")
    if [[ -d Tests/Fuzz/$target/corpus ]]; then arguments+=("Tests/Fuzz/$target/corpus"); fi
    say "fuzzing $target for $seconds s, seed $seed"
    status=0
    "$programs/$target" "${arguments[@]}" >"$log" 2>&1 &
    fuzzer=$!
    wait "$fuzzer" || status=$?
    fuzzer=""
    grep -E 'stat::number_of_executed_units|stat::average_exec_per_sec|stat::peak_rss_mb|DONE' "$log" | sed "s/^/    /" || true
    if ((status != 0)); then
        tail -n 40 "$log" | sed "s/^/    /"
        say "VIOLATION: $target ended with status $status"
        failed+=("$target")
    fi
done
if ((${#failed[@]} > 0)); then
    say "FAIL: fuzz: ${failed[*]} trapped; inputs in $scratch/crashes"
    exit 1
fi
say "PASS: fuzz: ${targets[*]}, $seconds s each, no trap; seed $seed"
