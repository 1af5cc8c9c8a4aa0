#!/usr/bin/env bash
# Real Redis clients against a node: redis-cli, redis-py in a virtual environment, redis-benchmark with values of
# 64 KiB to 32 MiB. About two minutes.
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

seed=${1:-$((RANDOM * 32768 + RANDOM))}
say "seed $seed"
build_release
make_work_directory
python_with redis 'redis>=5'
start_node "$work/node.log" --memory 2GiB --data-dir "$work/data" --disk 4GiB

cli() { redis-cli -p "$node_port" "$@"; }
expect() {
    local wanted=$1 got
    shift
    got=$(cli "$@")
    [[ $got == "$wanted" ]] || die "redis-cli $*: expected '$wanted', got '$got'"
}
expect PONG PING
expect OK SET greeting hello
expect hello GET greeting
expect "" GET missing
expect 1 EXISTS greeting
expect 5 STRLEN greeting
expect 1 DEL greeting
expect 0 EXISTS greeting
expect OK FLUSHDB
head -c 8388608 /dev/urandom >"$work/value"
cli -x SET big <"$work/value" >"$work/reply"
cli --raw GET big | head -c 8388608 | cmp - "$work/value" || die "redis-cli read back other bytes"
say "redis-cli: passed"

"$python" "$root/scripts/long/redis_clients.py" "$node_port" "$seed"

benchmark() {
    local size=$1 count=$2 test=$3
    redis-benchmark -p "$node_port" -t "$test" -d "$size" -n "$count" -c 8 -r 16 --csv 2>"$work/errors" |
        awk -F '","' -v size="$size" 'NR > 1 { gsub(/"/, ""); printf "%s,%s\n", size, $0 }' FS='\001' |
        awk -F, '{ printf "%10d B  %-4s %10.0f /s  %8.0f MB/s  p50 %8.2f ms\n", $1, $2, $3, $1 * $3 / 1e6, $6 }'
    if grep -qi error "$work/errors"; then
        cat "$work/errors" >&2
        die "redis-benchmark reported an error"
    fi
}
for size in 65536 262144 1048576 2097152 8388608 33554432; do
    count=$((size >= 8388608 ? 64 : 512))
    benchmark "$size" "$count" set
    benchmark "$size" "$count" get
done
redis-benchmark -p "$node_port" -t ping,mset -n 2000 -c 8 --csv >"$work/others"

drain_node
say "passed"
