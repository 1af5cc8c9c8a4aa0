#!/usr/bin/env bash
# Larder beside its peers on this machine: Redis, LMCache's lm server, Mooncake Store, bare sockets, memcpy and fio.
# Builds larder, installs what is missing, measures everything in rounds that take turns, and ends with a table of
# figures, ratios and goals. `scripts/bench.sh --help` lists the sections and settings; the whole takes ten minutes.
#
#   scripts/bench.sh                    # all
#   scripts/bench.sh --quick            # a short pass of all, three minutes
#   scripts/bench.sh --only tcp,match   # some
#
# redis-server and fio are Debian packages. Mooncake Store is a wheel of 50 MB in .build/venvs. LMCache is measured where
# an environment has it: the one that LMCACHE_VENV names, or .build/venvs/lmcache, which scripts/long/lmcache.sh makes;
# --with-lmcache makes it here (6 GB from PyPI, most of it torch). What is not there is named in the table.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=long/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/long/lib.sh"

compare="$root/scripts/bench/compare.py"
python_at_least 3 10
if wants --help "$@" || wants -h "$@"; then exec "$python" "$compare" "$@"; fi

arguments=()
with_lmcache=false
for argument in "$@"; do
    if [[ $argument == --with-lmcache ]]; then with_lmcache=true; else arguments+=("$argument"); fi
done

# needs SECTION: whether this run has the section.
needs() {
    local previous="" argument only=""
    for argument in "${arguments[@]+"${arguments[@]}"}"; do
        case $argument in --only=*) only=${argument#--only=} ;; esac
        if [[ $previous == --only ]]; then only=$argument; fi
        previous=$argument
    done
    [[ -z $only || ",$only," == *",$1,"* ]]
}

command -v redis-server >/dev/null || install_packages --with-redis-server
command -v fio >/dev/null || ! needs disk-get || install_packages --with-fio

peers=()
if needs mooncake; then
    if place=$(python_with mooncake mooncake-transfer-engine-non-cuda==0.3.13.post1 numpy && printf %s "$python"); then
        peers+=(--mooncake-python "$place")
    else
        peers+=(--mooncake-absent "its wheel cannot be installed here")
    fi
fi
if needs lm; then
    if [[ -n ${LMCACHE_VENV:-} ]]; then
        peers+=(--lmcache-python "$LMCACHE_VENV/bin/python")
    elif $with_lmcache && place=$(lmcache_python && printf %s "$python"); then
        peers+=(--lmcache-python "$place")
    elif [[ -x $root/.build/venvs/lmcache/bin/python ]]; then
        peers+=(--lmcache-python "$root/.build/venvs/lmcache/bin/python")
    else
        peers+=(--lmcache-absent "not installed: --with-lmcache, or LMCACHE_VENV")
    fi
fi

if ! wants --larder "${arguments[@]+"${arguments[@]}"}"; then
    build_larder
    peers+=(--larder "$larder")
fi
exec "$python" -u "$compare" "${peers[@]+"${peers[@]}"}" "${arguments[@]+"${arguments[@]}"}"
