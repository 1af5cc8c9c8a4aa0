# Shared by the long checks beside it; source it, do not run it.
# shellcheck shell=bash
#
# A long check is a thin bash entry and a Python workload of the same name. The entry builds larder once in release
# mode and hands over with exec, so that signals reach the workload, which ends its processes and removes its
# directories itself. PYTHON names another interpreter than python3 (3.10 or newer).

long_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$long_directory/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# python_at_least MAJOR MINOR: sets python, or ends.
python_at_least() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || die "no $python: apt-get install python3, or set PYTHON"
    "$python" -c "import sys; sys.exit(sys.version_info < ($1, $2))" ||
        die "$python is older than $1.$2: set PYTHON to a newer one"
}

# Installs the Debian packages that are missing: install_packages [--with-redis-server]
install_packages() {
    "$root/scripts/install.sh" "$@"
}

# Builds larder; sets larder to the program.
build_larder() {
    install_packages
    say "building larder (release; the first time takes some minutes)"
    (cd "$root" && swift build -c release --product larder >&2)
    larder="$(cd "$root" && swift build -c release --show-bin-path)/larder"
}

# wants OPTION ARGUMENT...: whether OPTION is among the arguments.
wants() {
    local option=$1 argument
    shift
    for argument in "$@"; do
        if [[ $argument == "$option" || $argument == "$option="* ]]; then return 0; fi
    done
    return 1
}

# run_workload FILE ARGUMENT...: builds larder unless the arguments name one (--larder PATH) or only ask for help,
# and becomes the workload. Uses $python.
run_workload() {
    local workload=$1
    shift
    if wants --help "$@" || wants -h "$@" || wants --larder "$@"; then
        exec "$python" -u "$long_directory/$workload" "$@"
    fi
    build_larder
    exec "$python" -u "$long_directory/$workload" --larder "$larder" "$@"
}

# python_with NAME PACKAGE...: a virtual environment that is kept under .build/venvs/NAME; sets python to its Python.
# Uses $python to make it. A venv that is half made or made from another list of packages is made anew.
python_with() {
    local place="$root/.build/venvs/$1"
    shift
    if [[ ! -x $place/bin/python || "$(cat "$place/packages" 2>/dev/null)" != "$*" ]]; then
        say "making a virtual environment in ${place#"$root/"} with $*"
        rm -rf "$place"
        "$python" -m venv "$place" || die "cannot make a virtual environment: apt-get install python3-venv"
        "$place/bin/pip" install --quiet --disable-pip-version-check "$@" || die "pip install $* failed"
        printf '%s' "$*" >"$place/packages"
    fi
    python="$place/bin/python"
}

# lmcache_python: a virtual environment with LMCache 0.5.6 (about 6 GB); sets python to its Python.
# LMCache's wheel asks for all it could ever use (CUDA Python, cloud storage). It is installed alone, and beside it what
# its imports need for the six ways to a server.
lmcache_python() {
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
