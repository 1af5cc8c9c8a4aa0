#!/usr/bin/env bash
# Generates the Swift code of the files in proto/ anew: into Sources/EtcdAPI/Generated (etcd's interface) and
# Sources/ControlAPI/Generated (Larder's own). The result is committed: building the generators takes minutes.
# Needs protobuf-compiler, which it installs when it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v protoc >/dev/null || scripts/install.sh --with-protoc

# The generators are programs of the packages that the generated code is linked with, in the same versions.
work="${XDG_CACHE_HOME:-$HOME/.cache}/larder/proto-generators"
mkdir -p "$work/Sources/generators"
versions=$(sed -n -E 's|^ *(\.package\(url: "https://github.com/(apple/swift-protobuf\|grpc/grpc-swift-2\|grpc/grpc-swift-protobuf)", exact: "[0-9.]+"\)),?$|        \1,|p' \
    Package.swift)
(($(wc -l <<<"$versions") == 3)) || {
    echo "error: Package.swift does not name the versions of the generators as this script expects" >&2
    exit 1
}
cat >"$work/Package.swift" <<PACKAGE
// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "generators",
    dependencies: [
$versions
    ],
    targets: [
        .executableTarget(
            name: "generators",
            dependencies: [
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
            ]
        )
    ]
)
PACKAGE
echo 'print("generators")' >"$work/Sources/generators/main.swift"
echo "building the generators in $work; the first time this takes minutes" >&2
for product in protoc-gen-swift protoc-gen-grpc-swift-2; do
    swift build --package-path "$work" --product "$product" >"$work/build.log" 2>&1 || {
        tail -n 20 "$work/build.log" >&2
        exit 1
    }
done
bin=$(swift build --package-path "$work" --show-bin-path)

generate() { # generate DIRECTORY SERVERS CLIENTS PROTO...
    local out=$1 servers=$2 clients=$3 common=Visibility=Package,FileNaming=DropPath,UseAccessLevelOnImports=true
    shift 3
    mkdir -p "$out"
    rm -f "$out"/*.swift
    protoc --proto_path=proto "$@" \
        --plugin=protoc-gen-swift="$bin/protoc-gen-swift" --swift_out="$out" --swift_opt="$common"
    # Only files with services: the generator writes an empty file for others.
    local services
    mapfile -t services < <(grep -l '^service ' "$@" || true)
    if ((${#services[@]} == 0)); then return; fi
    protoc --proto_path=proto "${services[@]}" \
        --plugin=protoc-gen-grpc-swift-2="$bin/protoc-gen-grpc-swift-2" --grpc-swift-2_out="$out" \
        --grpc-swift-2_opt="$common,Server=$servers,Client=$clients"
}

for target in "EtcdAPI false true etcd" "ControlAPI true true larder/v1 grpc/health/v1"; do
    read -r name servers clients folders <<<"$target"
    protos=()
    for folder in $folders; do
        for file in proto/"$folder"/*.proto; do
            if [[ -f $file ]]; then protos+=("$file"); fi
        done
    done
    if ((${#protos[@]} > 0)); then generate "Sources/$name/Generated" "$servers" "$clients" "${protos[@]}"; fi
done
