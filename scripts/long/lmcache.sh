#!/usr/bin/env bash
# Unmodified LMCache 0.5.6 against a node: its connectors redis, resp, valkey and lm, and the resp and valkey adapters
# of its multi-process mode, with chunks of 1 to 32 MiB. `scripts/long/lmcache.sh --help` lists the settings.
#
# LMCACHE_VENV names a virtual environment that has LMCache already; without it one is made under .build/venvs (about
# 6 GB, most of it torch). Needs Python 3.11: PYTHON=python3.11 where python3 is another.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants --help "$@" || wants -h "$@"; then
    python_at_least 3 10
elif [[ -n ${LMCACHE_VENV:-} ]]; then
    python="$LMCACHE_VENV/bin/python"
    [[ -x $python ]] || die "no $python: LMCACHE_VENV must name a virtual environment"
else
    lmcache_python
fi
run_workload lmcache_check.py "$@"
