# Shared by the scripts beside it; source it, do not run it.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR source=../scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

# Nodes get what the scripts say, and nothing else: a setting of the caller's would be every node's.
unset "${!LARDER_@}"

HOME=${HOME:-$(getent passwd "$EUID" | cut -d : -f 6)}
directory=${XDG_STATE_HOME:-$HOME/.local/state}/larder-cluster
# shellcheck disable=SC2034  # for the scripts
node_names=(node-1 node-2 node-3)

# Prints the comment at a script's top.
show_help() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$1"; }

# Makes the directory this script's own until it ends, so that two of them never work on one cluster.
lock_directory() {
    exec 9>"$directory/lock"
    flock --timeout 60 9 || die "another script is at work in $directory"
}

# A process's start in clock ticks since the boot, and which boot: with its number that is one process, for ever.
process_stamp() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name, in parentheses, may hold anything.
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    # A process that has ended and waits for its parent is none.
    [[ $1 != Z ]] || return 1
    printf '%s %s' "${20}" "$(cat /proc/sys/kernel/random/boot_id)"
}

# running_pid NAME: the number of the process that was started under a name; fails when it is gone, even when another
# process has its number now.
running_pid() {
    local pid stamp
    read -r pid stamp 2>/dev/null <"$directory/$1.pid" || return 1
    [[ $pid =~ ^[0-9]+$ ]] && [[ $(process_stamp "$pid") == "$stamp" ]] && printf '%s' "$pid"
}

# start_process NAME COMMAND...: starts a process that outlives the script; what it says goes to NAME.log.
start_process() {
    local name=$1 pid
    shift
    if [[ -f $directory/$name.log ]]; then mv -f "$directory/$name.log" "$directory/$name.log.old"; fi
    setsid "$@" </dev/null >"$directory/$name.log" 2>&1 9>&- &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_stamp "$pid")" >"$directory/$name.pid"
}

# await_end SECONDS NAME...: waits for processes to end; fails when one of them does not in time.
await_end() {
    local deadline=$((SECONDS + $1)) name
    shift
    for name in "$@"; do
        while running_pid "$name" >/dev/null; do
            ((SECONDS < deadline)) || return 1
            sleep 0.05
        done
    done
}

# stop_processes NAME...: ends processes in order, those that do not heed it by force.
stop_processes() {
    local name pid
    for name in "$@"; do
        if pid=$(running_pid "$name"); then kill -TERM "$pid" 2>/dev/null || true; fi
    done
    # A node may write RAM to disk for --drain-timeout, 30 seconds.
    if ! await_end 45 "$@"; then
        for name in "$@"; do
            pid=$(running_pid "$name") || continue
            say "$name did not end after SIGTERM: killed"
            kill -KILL "$pid" 2>/dev/null || true
        done
        await_end 10 "$@" || die "a process cannot be ended; see $directory/*.pid"
    fi
    for name in "$@"; do rm -f "$directory/$name.pid"; done
}

# The file in /dev/shm that keeps a node's RAM while it restarts; named so that 'larder memory list' shows it.
memory_file() {
    local digest
    digest=$(printf '%s' "$directory" | sha256sum | cut -c 1-12)
    printf '/dev/shm/larder-%s-cluster-%s-%s' "$EUID" "$digest" "$1"
}

# port_of NAME: its port; the first node has $port, the others those that follow.
# shellcheck disable=SC2154  # the scripts set it
port_of() { printf '%s' "$((port + ${1#node-} - 1))"; }
