# Shared by the scripts beside it; source it, do not run it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
larder="$root/.build/release/larder"
work=""
node_pid=""
node_port=""

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# A directory for this run that goes when the script ends; the node goes first.
make_work_directory() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/larder-XXXXXX")
    trap 'stop_everything' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

stop_everything() {
    local status=$?
    if [[ -n $node_pid ]]; then kill -9 "$node_pid" 2>/dev/null || true; fi
    if declare -F on_exit >/dev/null; then on_exit || true; fi
    if [[ -n $work ]]; then rm -rf "$work"; fi
    exit "$status"
}

build_release() {
    "$root/scripts/install.sh"
    say "building larder (release; the first time takes some minutes)"
    (cd "$root" && swift build -c release --product larder >&2)
    larder="$(cd "$root" && swift build -c release --show-bin-path)/larder"
}

# start_node LOG ARGUMENT...: starts a node on a free port and waits until it says that it is ready.
# Sets node_pid and node_port.
start_node() {
    local log=$1
    shift
    : >"$log"
    "$larder" serve --port 0 --log-format json --memory-file "${memory_file:-off}" "$@" 2>>"$log" &
    node_pid=$!
    local deadline=$((SECONDS + 120))
    while ! grep -q '"message":"ready"' "$log"; do
        kill -0 "$node_pid" 2>/dev/null || { tail -n 5 "$log" >&2; die "the node did not start"; }
        ((SECONDS < deadline)) || die "the node was not ready after two minutes; see $log"
        sleep 0.02
    done
    node_port=$(grep -o '"message":"ready".*' "$log" | tail -n 1 | sed -n 's/.*"port":"\([0-9]*\)".*/\1/p')
    [[ -n $node_port ]] || die "the node's ready line names no port"
}

# Ends the node in order and fails unless it exits 0.
drain_node() {
    local status=0
    kill -TERM "$node_pid"
    wait "$node_pid" || status=$?
    node_pid=""
    ((status == 0)) || die "the node exited with status $status after SIGTERM"
}
