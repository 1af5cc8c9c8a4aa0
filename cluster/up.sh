#!/usr/bin/env bash
# Starts a cluster of three nodes on this machine: etcd for who is there, and node-1, node-2, node-3, all on loopback.
#
#   cluster/up.sh [--dir DIRECTORY] [--larder PATH] [--port PORT] [--etcd-port PORT] [--memory SIZE] [--disk SIZE]
#                 [--replicas 1|2] [--member-ttl TIME] [--static] [-- SETTING...]
#
#   --dir         where data, logs and process ids are; usually ~/.local/state/larder-cluster
#   --larder      the program; usually the release build, which is made when there is none
#   --port        the first node's port, 7001; the others have those that follow
#   --etcd-port   etcd's port, 2379, and the one after it
#   --memory      each node's RAM, 256MiB
#   --disk        each node's disk space, 1GiB
#   --replicas    how many nodes keep pinned and hot blocks, 1
#   --member-ttl  how long a node that is away keeps its place, 30s
#   --static      no etcd: the nodes have a list
#   SETTING...    other settings of 'larder serve', for each node
#
# What runs already stays as it is and what does not is started: again after a node was killed, it brings that one back.
# cluster/down.sh stops all.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

program="" port=7001 etcd_port=2379 memory=256MiB disk=1GiB replicas=1 member_ttl=30s is_static=""
others=()
while (($# > 0)); do
    case $1 in
        --dir) directory=${2:?--dir needs a directory}; shift 2 ;;
        --larder) program=${2:?--larder needs a path}; shift 2 ;;
        --port) port=${2:?--port needs a number}; shift 2 ;;
        --etcd-port) etcd_port=${2:?--etcd-port needs a number}; shift 2 ;;
        --memory) memory=${2:?--memory needs a size}; shift 2 ;;
        --disk) disk=${2:?--disk needs a size}; shift 2 ;;
        --replicas) replicas=${2:?--replicas needs a number}; shift 2 ;;
        --member-ttl) member_ttl=${2:?--member-ttl needs a time}; shift 2 ;;
        --static) is_static=yes; shift ;;
        --) shift; others=("$@"); break ;;
        -h | --help) show_help "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "unknown option $1; see --help" ;;
    esac
done
for number in "$port" "$etcd_port"; do
    if ! [[ $number =~ ^[1-9][0-9]{0,4}$ ]] || ((number > 65533)); then die "$number is no port from 1 to 65533"; fi
done

find_larder() {
    if [[ -n $program ]]; then larder=$program
    elif [[ ! -x $larder ]]; then build_release; fi
    [[ -x $larder && -f $larder ]] || die "$larder is no program"
    "$larder" version >/dev/null || die "$larder does not run; scripts/install.sh installs the libraries that it needs"
}

# The settings that a node cannot change while others run: a second start takes them from the first.
check_settings() {
    local settings="port=$port etcd_port=$etcd_port is_static=$is_static memory=$memory disk=$disk replicas=$replicas"
    settings+=" member_ttl=$member_ttl others=${others[*]}"
    local name
    for name in etcd "${node_names[@]}"; do
        if running_pid "$name" >/dev/null && [[ $(cat "$directory/settings" 2>/dev/null) != "$settings" ]]; then
            say "$name runs with $(cat "$directory/settings" 2>/dev/null)"
            die "other settings need a new start; cluster/down.sh stops what runs"
        fi
    done
    printf '%s\n' "$settings" >"$directory/settings"
}

require_free() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        die "port $1 is taken, $2 cannot have it: see 'ss -ltnp', or choose others with --port and --etcd-port"
    fi
}

has_etcd() { command -v etcd >/dev/null && command -v etcdctl >/dev/null; }

start_etcd() {
    running_pid etcd >/dev/null && return
    has_etcd || "$root/scripts/install.sh" --with-etcd
    has_etcd || die "there is no etcd and etcdctl in PATH"
    require_free "$etcd_port" etcd
    require_free "$((etcd_port + 1))" etcd
    local client="http://127.0.0.1:$etcd_port" peer="http://127.0.0.1:$((etcd_port + 1))"
    start_process etcd etcd --name larder --data-dir "$directory/etcd" --listen-client-urls "$client" \
        --advertise-client-urls "$client" --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "larder=$peer" --auto-compaction-retention 1h
    local deadline=$((SECONDS + 60))
    until etcdctl --endpoints "$client" endpoint health >/dev/null 2>&1; do
        running_pid etcd >/dev/null || { tail -n 5 "$directory/etcd.log" >&2; die "etcd did not start"; }
        ((SECONDS < deadline)) || die "etcd was not healthy after a minute; see $directory/etcd.log"
        sleep 0.1
    done
}

start_nodes() {
    local cluster="etcd://127.0.0.1:$etcd_port/prod" name started=()
    local membership=(--member-ttl "$member_ttl")
    if [[ -n $is_static ]]; then
        cluster="static:"
        for name in "${node_names[@]}"; do cluster+="$name=127.0.0.1:$(port_of "$name"),"; done
        cluster=${cluster%,}
        membership=()
    fi
    for name in "${node_names[@]}"; do
        running_pid "$name" >/dev/null && continue
        require_free "$(port_of "$name")" "$name"
        mkdir -p "$directory/$name"
        start_process "$name" "$larder" serve --host 127.0.0.1 --port "$(port_of "$name")" --cluster "$cluster" \
            --node-name "$name" --advertise "127.0.0.1:$(port_of "$name")" \
            --cluster-secret "$directory/cluster.secret" "${membership[@]}" --replicas "$replicas" \
            --memory "$memory" --memory-file "$(memory_file "$name")" --data-dir "$directory/$name" --disk "$disk" \
            --log-format json "${others[@]}"
        started+=("$name")
    done
    local deadline=$((SECONDS + 120))
    for name in "${started[@]}"; do
        until grep -q '"message":"ready"' "$directory/$name.log"; do
            running_pid "$name" >/dev/null || { tail -n 5 "$directory/$name.log" >&2; die "$name did not start"; }
            ((SECONDS < deadline)) || die "$name was not ready after two minutes; see $directory/$name.log"
            sleep 0.05
        done
    done
}

# Every node has to see all of them: one that is seen may not see the others yet.
await_cluster() {
    local name
    for name in "${node_names[@]}"; do
        "$larder" cluster status --node "127.0.0.1:$(port_of "$name")" --wait 90s --nodes "${#node_names[@]}" \
            >"$directory/status" || {
            cat "$directory/status" >&2
            die "not all nodes are there as $name sees it (a drained one has to be stopped first: cluster/down.sh NODE)"
        }
    done
}

# What has started goes on when the rest does not: whoever sees the error is told. Not when it is only the reader of the
# output that has gone.
hint_at_failure() {
    local status=$? name running=()
    if ((status == 0 || status == 141)); then return; fi
    for name in etcd "${node_names[@]}"; do
        if running_pid "$name" >/dev/null; then running+=("$name"); fi
    done
    if ((${#running[@]} > 0)); then say "running: ${running[*]}; 'cluster/down.sh --dir $directory' stops all"; fi
}

find_larder
mkdir -p "$directory"
directory=$(cd "$directory" && pwd -P)
chmod 0700 "$directory"
lock_directory
check_settings
trap hint_at_failure EXIT
if [[ ! -s $directory/cluster.secret ]]; then
    (umask 077 && head -c 32 /dev/urandom | base64 >"$directory/cluster.secret")
fi
if [[ -z $is_static ]]; then start_etcd; fi
start_nodes
await_cluster

cat "$directory/status"
head -c 2000 "$root/README.md" >"$directory/prompt"
first="127.0.0.1:$port" last="127.0.0.1:$((port + 2))"
show=$larder stop=$root/cluster/down.sh
if [[ $directory != "${XDG_STATE_HOME:-$HOME/.local/state}/larder-cluster" ]]; then stop+=" --dir $directory"; fi
cat <<END

Three nodes are one cache; any of them answers for all. Data and logs: $directory

# compute a prompt at node-1, and reuse it at node-3:
  $show worker --node $first --prompt-file $directory/prompt
  $show worker --node $last --prompt-file $directory/prompt
# who is there; hand a node's blocks over, and stop it:
  $show cluster status --node $first
  $show cluster drain node-2 --node $first && $stop node-2
# kill a node: the others go on; the same up.sh brings it back:
  kill -9 \$(cut -d ' ' -f 1 $directory/node-3.pid)
# stop all; with --purge the data goes too:
  $stop
END
