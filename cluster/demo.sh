#!/usr/bin/env bash
# Shows what a cluster does: three nodes and etcd on this machine, and workers that ask one node or another.
#
#   1  a worker computes a prompt at node-1, another reuses it at node-3
#   2  node-2 is killed: the others go on; it is started again, and has its blocks back
#   3  node-3 is drained and stopped: what only it was given is still there
#   4  all is stopped, and nothing is left
#
# Ends with status 0 only when every worker reused what it should, with logits equal bit for bit.
#
#   cluster/demo.sh [--larder PATH] [--static] [-- SETTING...]
#
#   --larder    the program; usually the release build, which is made when there is none
#   --static    without etcd: the nodes have a list
#   SETTING...  other settings of 'larder serve', for each node
#
# Data goes to a directory that is removed at the end; ports are some that are free.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=() others=()
while (($# > 0)); do
    case $1 in
        --larder) larder=${2:?--larder needs a path}; options+=(--larder "$larder"); shift 2 ;;
        --static) options+=(--static); shift ;;
        --) shift; others=("$@"); break ;;
        -h | --help) show_help "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "unknown option $1; see --help" ;;
    esac
done

[[ -x $larder ]] || build_release
make_work_directory
directory=$work/cluster
# shellcheck disable=SC2317  # called by stop_everything
on_exit() {
    if [[ -d $directory ]]; then "$root/cluster/down.sh" --dir "$directory" --purge 2>/dev/null; fi
}

# The first of five ports in a row that nobody has.
free_ports() {
    local first place
    for ((first = 7101; first < 9000; first += 10)); do
        for place in 0 1 2 3 4; do
            if (exec 3<>"/dev/tcp/127.0.0.1/$((first + place))") 2>/dev/null; then continue 2; fi
        done
        printf '%s' "$first"
        return
    done
    die "no five ports in a row are free from 7101 to 9000"
}

# A slow machine is no fault: what another node answers late is a miss, and here nothing shall be missed.
up() {
    "$root/cluster/up.sh" --dir "$directory" "${options[@]}" --port "$port" --etcd-port "$((port + 3))" -- \
        --peer-lookup-timeout 5s --peer-load-timeout 20s "${others[@]}" >"$work/up"
}

status_of() { "$larder" cluster status --node "127.0.0.1:$(port_of "$1")" "${@:2}"; }

prefix_tokens=2000
block_tokens=16
whole=$((prefix_tokens / block_tokens * block_tokens))

# write_prompt NAME: a prompt of its own, one token a byte: the prefix, and a question that fills no block.
write_prompt() {
    local words=(any of the nodes answers for all of them and what one of them has seen the others have) text="" i=0
    while ((${#text} < prefix_tokens)); do
        text+="$1 ${words[i * 7 % ${#words[@]}]}$((i % 10)) "
        i=$((i + 1))
    done
    printf '%s%s' "${text:0:prefix_tokens}" "And then?" >"$work/$1"
}

row='%-6s  %-6s  %-6s  %6s  %6s  %8s  %8s  %s'
rows=()
# ask WORKER NODE PROMPT: a worker in a process of its own asks one node; its row goes to $work/WORKER.row.
ask() {
    "$larder" worker --node "127.0.0.1:$(port_of "$2")" --prompt-file "$work/$3" --block-tokens "$block_tokens" \
        --match-deadline 10s --load-deadline 30s --output jsonl >"$work/$1.row"
    # shellcheck disable=SC2059  # it is a format
    rows+=("$(printf "$row" "$1" "$2" "$3" "$(field "$1" reused_tokens)" \
        "$(field "$1" other)" "$(field "$1" computed_tokens)" "$(field "$1" ttft_ms)" \
        "$(field "$1" logits_digest | cut -c 1-32)")")
}

# field WORKER FIELD: a number or a text of a worker's row.
field() { sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/$1.row" | head -n 1; }

failures=0
expect() {
    local what=$1
    shift
    if "$@"; then echo "yes  $what"; else
        echo "NO   $what"
        failures=$((failures + 1))
    fi
}
expect_reuse() {
    local digest
    digest=$(field "$2" logits_digest)
    expect "$1: all $whole tokens of whole blocks" test "$(field "$2" reused_tokens)" = "$whole"
    expect "   with the logits of worker $3, bit for bit" test -n "$digest" -a "$(field "$3" logits_digest)" = "$digest"
}

# await_absence NODE WATCHER...: waits until others see that a node is away; that takes them a second or two.
await_absence() {
    local deadline=$((SECONDS + 60)) node=$1 watcher
    shift
    for watcher in "$@"; do
        until status_of "$watcher" --output jsonl | grep "\"node\":\"$node\"" | grep -q '"up":"no"'; do
            ((SECONDS < deadline)) || die "$watcher still believes that $node is there"
            sleep 0.1
        done
    done
}

port=$(free_ports)
for prompt in p1 p2 p3; do write_prompt "$prompt"; done

say "1  three nodes"
up
status_of node-1
say "   worker A computes prompt p1 at node-1; worker B asks node-3"
ask A node-1 p1
ask B node-3 p1

say "2  kill -9 of node-2; workers C and D share p2 meanwhile"
kill -KILL "$(running_pid node-2)"
await_absence node-2 node-1 node-3
status_of node-1
ask C node-1 p2
ask D node-3 p2
say "   node-2 again; worker E asks it for p1"
up
recovered=$(sed -n 's/.*"recovered_blocks":"\([0-9]*\)".*/\1/p' "$directory/node-2.log")
say "   it has ${recovered:-no} blocks from before in RAM"
ask E node-2 p1

say "3  worker F computes p3 at node-3, which is then drained and stopped; worker G asks node-2"
ask F node-3 p3
"$larder" cluster drain node-3 --node "127.0.0.1:$(port_of node-1)"
"$root/cluster/down.sh" --dir "$directory" node-3
ask G node-2 p3
status_of node-1

say "4  all is stopped"
memory_files=("$(memory_file node-1)" "$(memory_file node-2)" "$(memory_file node-3)")
"$root/cluster/down.sh" --dir "$directory" --purge
# shellcheck disable=SC2317  # called by expect
is_clean() {
    local file
    for file in "${memory_files[@]}"; do if [[ -e $file ]]; then return 1; fi; done
    for file in /proc/[0-9]*/cmdline; do
        if [[ $(tr '\0' ' ' 2>/dev/null <"$file") == *"$directory"* ]]; then return 1; fi
    done 2>/dev/null
    [[ ! -e $directory ]]
}

echo
# shellcheck disable=SC2059  # it is a format
printf "$row\n" WORKER NODE PROMPT REUSED OTHERS COMPUTED "TTFT MS" "LOGITS DIGEST"
printf '%s\n' "${rows[@]}"
echo "(REUSED: tokens; OTHERS: those of them that came from another node)"
echo
expect "A found nothing to reuse" test "$(field A reused_tokens)" = 0
expect_reuse "B reused at node-3 what A computed at node-1" B A
expect_reuse "D reused, with node-2 away, what C computed" D C
expect "node-2 came back with its blocks in RAM" test "${recovered:-0}" -gt 0
expect_reuse "E reused p1 at node-2 after its return" E A
expect_reuse "G reused p3 after the only node that was given it had gone" G F
expect "no process, no memory and no file is left" is_clean
exit $((failures > 0))
