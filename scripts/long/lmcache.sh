#!/usr/bin/env bash
# Unmodified LMCache 0.5.6 against a node: its connectors redis, resp, valkey and lm, and the resp and valkey adapters
# of its multi-process mode, with chunks of 1 to 32 MiB. `scripts/long/lmcache.sh --help` lists the settings.
#
# LMCACHE_VENV names a virtual environment that has LMCache already; without it one is made under .build/venvs (about
# 6 GB, most of it torch). Needs Python 3.11: PYTHON=python3.11 where python3 is another.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# LMCache's wheel asks for all it could ever use (CUDA Python, cloud storage). It is installed alone, and beside it what
# its imports need for the six ways to a server.
make_venv() {
    python_at_least 3 11
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        die "LMCache's wheel needs Python 3.11: set PYTHON=python3.11"
    python_with lmcache torch numpy==2.2.6 'redis>=8,<9' 'valkey-glide-sync>=2.3,<3' 'transformers>=5.4,<6' numba psutil \
        'pyzmq>=25' msgspec blake3 'prometheus_client<=0.24.1' aiohttp aiofile aiofiles fastapi httpx httptools uvicorn \
        nvtx 'opentelemetry-api<=1.40.0' 'opentelemetry-sdk<=1.40.0' 'opentelemetry-exporter-prometheus<=0.61b0' \
        py-cpuinfo requests cachetools sortedcontainers cryptography pyyaml
    "$python" -c 'import importlib.metadata as m; m.version("lmcache") == "0.5.6" or exit(1)' 2>/dev/null ||
        "$(dirname "$python")/pip" install --quiet --disable-pip-version-check --no-deps lmcache==0.5.6 ||
        die "pip install lmcache failed"
}

if wants --help "$@" || wants -h "$@"; then
    python_at_least 3 10
elif [[ -n ${LMCACHE_VENV:-} ]]; then
    python="$LMCACHE_VENV/bin/python"
    [[ -x $python ]] || die "no $python: LMCACHE_VENV must name a virtual environment"
else
    make_venv
fi
run_workload lmcache_check.py "$@"
