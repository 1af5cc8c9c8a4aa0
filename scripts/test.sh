#!/usr/bin/env bash
# Builds everything with the debug settings, runs the tests, and checks the format. Extra arguments go to swift test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh --with-etcd
swift build --build-tests
log="$(mktemp -t larder-tests.XXXXXX)"
trap 'rm -f "$log"' EXIT
# One at a time: many tests block threads, start processes and watch deadlines.
if ! swift test --skip-build --no-parallel "$@" 2>&1 | tee "$log"; then
    # Again at the end what a long log hides.
    echo "--- what failed:" >&2
    grep -a -E '✘|error:|Fatal|Crash' "$log" >&2 || tail -n 40 "$log" >&2
    exit 1
fi
# The Python client, against the node that was just built.
LARDER_BIN="$(swift build --show-bin-path)/larder" python3 -m unittest discover -s python/tests
# What runs a cluster, held to what that node takes.
LARDER_BIN="$(swift build --show-bin-path)/larder" cluster/check.py --breakages
swift format lint --strict --recursive --configuration .swift-format Package.swift Sources Tests
for script in scripts/*.sh scripts/long/*.sh cluster/*.sh .ci/run; do bash -n "$script"; done
python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' scripts/long/*.py \
    scripts/bench/*.py cluster/*.py cluster/*/*.py python/*/*.py
echo "tests passed, format clean"
