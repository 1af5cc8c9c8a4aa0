#!/usr/bin/env bash
# Stops the cluster that cluster/up.sh started, or some of its nodes.
#
#   cluster/down.sh [--dir DIRECTORY] [--purge] [NODE...]
#
#   --dir    where up.sh keeps it; usually ~/.local/state/larder-cluster
#   --purge  remove the directory with the nodes' data, too
#   NODE...  stop these nodes alone: node-1, node-2 or node-3; without names all, and etcd
#
# Nodes write their RAM to disk first, so that the next start has it. With all stopped no process is left, and nothing in
# /dev/shm; a node that is stopped alone finds its RAM there when up.sh starts it again.
# What does not run is no error. A process is ended only when it is surely the one that up.sh started.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

purge="" names=()
while (($# > 0)); do
    case $1 in
        --dir) directory=${2:?--dir needs a directory}; shift 2 ;;
        --purge) purge=yes; shift ;;
        -h | --help) show_help "${BASH_SOURCE[0]}"; exit 0 ;;
        node-[123]) names+=("$1"); shift ;;
        *) die "unknown option or node $1; see --help" ;;
    esac
done
if [[ -n $purge ]] && ((${#names[@]} > 0)); then die "--purge is for the whole cluster, not for single nodes"; fi

if [[ ! -d $directory ]]; then
    say "there is no cluster in $directory"
    exit 0
fi
directory=$(cd "$directory" && pwd -P)
# Whoever mistypes --dir --purge shall not lose another directory.
[[ -f $directory/settings ]] || die "$directory is not a cluster's directory"
lock_directory

if ((${#names[@]} > 0)); then
    stop_processes "${names[@]}"
    say "stopped: ${names[*]}"
    exit 0
fi
stop_processes "${node_names[@]}"
stop_processes etcd
for name in "${node_names[@]}"; do rm -f "$(memory_file "$name")"; done
if [[ -n $purge ]]; then
    rm -rf "${directory:?}"
    say "stopped, and removed $directory"
else
    say "stopped; the data is in $directory"
fi
