#!/usr/bin/env bash
# Makes what the nodes of compose.yaml and kubernetes/ prove themselves and their users with, as files in a directory:
#
#   cluster.secret     what the nodes prove themselves to each other with
#   users.txt          who may connect: 'engine' reads and writes, 'ops' may also drain and see figures
#   engine.password    the password that engines give
#   ops.password       the password that probes and 'larder cluster drain' give
#
#   cluster/secrets.sh [--dir DIRECTORY] [--larder PATH]
#
#   --dir     where to; usually 'secrets' beside this script
#   --larder  the program; usually the release build, which is made when there is none
#
# What is there already stays. The directory is its owner's alone; the files in it are readable for all, because a
# container that they are mounted into has another user.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

directory=$root/cluster/secrets
while (($# > 0)); do
    case $1 in
        --dir) directory=${2:?--dir needs a directory}; shift 2 ;;
        --larder) larder=${2:?--larder needs a path}; shift 2 ;;
        -h | --help) show_help "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "unknown option $1; see --help" ;;
    esac
done

[[ -x $larder ]] || build_release
mkdir -p "$directory"
chmod 0700 "$directory"
lock_directory

for name in cluster.secret engine.password ops.password; do
    if [[ ! -s $directory/$name ]]; then head -c 32 /dev/urandom | base64 >"$directory/$name"; fi
done
# add_user NAME SCOPES: unless it is there.
add_user() {
    if ! grep -q "^$1[[:space:]:]" "$directory/users.txt" 2>/dev/null; then
        "$larder" user add "$directory/users.txt" "$1" --scopes "$2" --password-file "$directory/$1.password"
    fi
}
add_user engine read,write
add_user ops read,write,admin,operator
rm -f "$directory/lock"
chmod 0444 "$directory"/*.password "$directory/cluster.secret" "$directory/users.txt"
say "$directory: cluster.secret users.txt engine.password ops.password"
