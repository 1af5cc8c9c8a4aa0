#!/usr/bin/env bash
# Shows what larder does: three workers, each its own process, ask with the same 2,000-token prefix.
#
#   A  finds nothing, computes all, and gives its blocks to the node
#   B  takes the prefix from the node's RAM
#   C  takes it from disk, after the node was stopped and started again
#
# Ends with a table, and with status 0 only when B and C reused every whole block of the prefix, their logits are
# those of A bit for bit, and they had their first token at least five times sooner.
#
#   scripts/run.sh [--data DIRECTORY] [--speedup TIMES]
#
# Installs missing Debian packages and builds in release mode first. Data goes to a directory that is removed at the
# end, or to --data, where it stays.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data=""
speedup=5
while (($# > 0)); do
    case $1 in
        --data) data=${2:?--data needs a directory}; shift 2 ;;
        --speedup) speedup=${2:?--speedup needs a number}; shift 2 ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "unknown option $1; see --help" ;;
    esac
done

build_release
make_work_directory
data=${data:-$work/data}
prefix_tokens=2000
block_tokens=16

# A prompt of words, one token a byte: the prefix, and a question so short that no block of its own is whole.
write_prompt() {
    local words=(the worker asks its node how much of this prompt it has takes that and computes the rest) text="" i=0
    while ((${#text} < prefix_tokens)); do
        text+="${words[i * 7 % ${#words[@]}]}$((i % 10)) "
        i=$((i + 1))
    done
    printf '%s%s' "${text:0:prefix_tokens}" "And then?" >"$1"
}

# ask NAME: runs a worker in a process of its own; its row goes to $work/NAME.
ask() {
    "$larder" worker --node "127.0.0.1:$node_port" --prompt-file "$work/prompt" --block-tokens "$block_tokens" \
        --match-deadline 5s --load-deadline 20s --output jsonl >"$work/$1"
}

# field NAME FIELD: a number or a text of a worker's row.
field() {
    sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/$1" | head -n 1
}

tier_of() {
    local memory disk
    memory=$(field "$1" memory)
    disk=$(field "$1" disk)
    if ((memory > 0 && disk > 0)); then echo "ram+disk"
    elif ((memory > 0)); then echo ram
    elif ((disk > 0)); then echo disk
    else echo -; fi
}

write_prompt "$work/prompt"
settings=(--memory 512MiB --data-dir "$data" --disk 2GiB)

say "node: larder serve ${settings[*]}"
start_node "$work/node.log" "${settings[@]}"
say "worker A computes"
ask A
say "worker B asks the same node"
ask B
say "stopping the node, and starting it again"
drain_node
start_node "$work/node.log" "${settings[@]}"
say "worker C asks the new node"
ask C
drain_node

say ""
printf '%-6s  %6s  %6s  %-8s  %8s  %10s  %s\n' WORKER TOKENS REUSED FROM COMPUTED "TTFT MS" "LOGITS DIGEST"
for name in A B C; do
    printf '%-6s  %6s  %6s  %-8s  %8s  %10s  %s\n' "$name" "$(field $name prompt_tokens)" \
        "$(field $name reused_tokens)" "$(tier_of $name)" "$(field $name computed_tokens)" "$(field $name ttft_ms)" \
        "$(field $name logits_digest | cut -c 1-32)"
done

failures=0
expect() {
    local what=$1
    shift
    if "$@"; then echo "yes  $what"; else
        echo "NO   $what"
        failures=$((failures + 1))
    fi
}
times_sooner() { awk -v a="$(field A ttft_ms)" -v b="$(field "$1" ttft_ms)" 'BEGIN { printf "%.1f", (b > 0 ? a / b : 0) }'; }
# shellcheck disable=SC2317  # called by expect
at_least() { awk -v value="$1" -v least="$2" 'BEGIN { exit !(value >= least) }'; }

whole=$((prefix_tokens / block_tokens * block_tokens))
expect "A found nothing to reuse" test "$(field A reused_tokens)" -eq 0
expect "B reused all $whole tokens of the prefix's whole blocks, from RAM" \
    test "$(field B reused_tokens) $(tier_of B)" = "$whole ram"
expect "C reused all $whole of them after the restart, from disk" \
    test "$(field C reused_tokens) $(tier_of C)" = "$whole disk"
digest=$(field A logits_digest)
expect "the logits are equal bit for bit" \
    test -n "$digest" -a "$(field B logits_digest)" = "$digest" -a "$(field C logits_digest)" = "$digest"
for name in B C; do
    times=$(times_sooner $name)
    expect "$name had its first token $times times sooner than A (at least $speedup)" at_least "$times" "$speedup"
done
exit $((failures > 0))
