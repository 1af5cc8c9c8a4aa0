#!/usr/bin/env bash
# Shows cache warming: a node that was restarted has its blocks on disk only; 'larder warm' brings the prefixes that
# matter back to RAM before the load comes.
#
#   1  two prompts are computed and stored, one of them asked for again and again
#   2  'larder stats --hot' writes the hottest prefixes to a file
#   3  the node restarts: everything is on disk
#   4  'larder warm' with that file, first as a dry run, then for real: the prefix is in RAM, and pinned
#   5  'larder warm' with a prompt that nobody has asked yet: a worker's engine computes it
#
# Installs missing Debian packages and builds in release mode first.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build_release
make_work_directory
settings=(--memory 256MiB --data-dir "$work/data" --disk 1GiB)

prompt() {
    local text="" i=0
    while ((${#text} < 640)); do
        text+="$1 $i "
        i=$((i + 1))
    done
    printf '%s' "${text:0:640}"
}
prompt "a prefix that many share" >"$work/hot.txt"
prompt "a prefix that one had" >"$work/cold.txt"
prompt "a prefix that is yet to come" >"$work/new.txt"

ask() {
    "$larder" worker --prompt-file "$work/$1.txt" --prefill-only --match-deadline 5s --load-deadline 20s \
        --output jsonl >>"$work/asked"
}

start_node "$work/node.log" "${settings[@]}"
export LARDER_NODE=127.0.0.1:$node_port
say "asking: the hot prompt four times, the cold one once"
for name in hot cold hot hot hot; do ask "$name"; done

# What the worker's blocks are named by: its model, number format and block size.
namespace=$("$larder" describe --output jsonl | sed 's/.*"ns":"\([0-9a-f]*\)".*/\1/')
say "the hottest prefix, as 'larder stats --hot 1' sees it:"
"$larder" stats --hot 1 --ns "$namespace"
"$larder" stats --hot 1 --ns "$namespace" --output jsonl >"$work/hot.jsonl"

say "restarting the node"
unset LARDER_NODE
drain_node
start_node "$work/node.log" "${settings[@]}"
export LARDER_NODE=127.0.0.1:$node_port

sed 's/}$/,"pin":true,"ttl":"1h"}/' "$work/hot.jsonl" >"$work/prefixes.jsonl"
printf '# a prompt: computed where blocks are missing\n{"prompt_file":"new.txt"}\n' >>"$work/prefixes.jsonl"

say "what a warm-up would do:"
"$larder" warm "$work/prefixes.jsonl" --dry-run
say "warming:"
"$larder" warm "$work/prefixes.jsonl"
say "and again, when all is warm:"
"$larder" warm "$work/prefixes.jsonl" --output jsonl >"$work/again"
cat "$work/again"
unset LARDER_NODE
drain_node
if grep -qv '"promoted":0,"prefilled":0,.*"missing":0' "$work/again"; then die "something was still to do"; fi
say "passed: every prefix is in RAM before anybody asks"
