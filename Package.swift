// swift-tools-version: 6.3
import Foundation
import PackageDescription

/// The rules every target of our own is built with.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"), .enableUpcomingFeature("ImmutableWeakCaptures"),
    .enableExperimentalFeature("Lifetimes"),
]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let grpcCore: Target.Dependency = .product(name: "GRPCCore", package: "grpc-swift-2")
let grpcTransport: Target.Dependency = .product(
    name: "GRPCNIOTransportHTTP2Posix",
    package: "grpc-swift-nio-transport"
)
let grpcProtobuf: Target.Dependency = .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

/// Linked into the tests only when the thread sanitizer watches them, as `scripts/long/tsan.sh` has it.
let sanitizers: [Target] =
    ProcessInfo.processInfo.environment["LARDER_TSAN"] == nil
    ? [] : [.target(name: "CThreadSanitizer", path: "Tests/ThreadSanitizer")]

let targets: [Target] = [
    // Floor 0: vocabulary, C libraries and tiny shims.
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .target(name: "CRocksDB", linkerSettings: [.linkedLibrary("rocksdb")]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .target(name: "CPosix"),
    .target(name: "CEngineKernels"),
    .target(name: "CKVCodec"),
    .target(name: "Blocks", dependencies: ["CXXHash", crypto], swiftSettings: house),
    // Floor 1: pure.
    .target(name: "Eviction", swiftSettings: house),
    .target(name: "TraceReplay", dependencies: ["Eviction"], swiftSettings: house),
    .target(name: "Placement", exclude: ["Design.md"], swiftSettings: house),
    .target(name: "KVEvents", dependencies: ["Blocks"], swiftSettings: house),
    .target(name: "RESP", dependencies: ["Blocks", nioCore], swiftSettings: house),
    .target(name: "PayloadCoding", dependencies: ["Blocks", "CKVCodec", "CLZ4"], swiftSettings: house),
    .target(
        name: "EtcdAPI",
        dependencies: [grpcCore, grpcProtobuf, protobuf],
        swiftSettings: [.swiftLanguageMode(.v6)]
    ),
    // Floor 2: the tiers.
    .target(
        name: "MemoryTier",
        dependencies: ["Blocks", "Eviction", "PayloadCoding", "CPosix"],
        swiftSettings: house
    ),
    .target(
        name: "DiskTier",
        dependencies: ["Blocks", "PayloadCoding", "CRocksDB", "CPosix"],
        swiftSettings: house
    ),
    // Floor 3: the one door.
    .target(
        name: "Tiering",
        dependencies: ["Blocks", "Eviction", "PayloadCoding", "MemoryTier", "DiskTier"],
        swiftSettings: house
    ),
    // Floor 3, beside it: who is in the cluster.
    .target(
        name: "Membership",
        dependencies: ["Blocks", "Placement", "EtcdAPI", grpcCore, grpcTransport, protobuf, logging],
        swiftSettings: house
    ),
    // Floor 4: the node's part in its cluster.
    .target(
        name: "Cluster",
        dependencies: [
            "Blocks", "RESP", "Placement", "Membership", "MemoryTier", "Tiering", "LarderClient", logging,
        ],
        swiftSettings: house
    ),
    // Floor 3, beside it: the messages and stubs of the control plane, generated from proto/.
    .target(
        name: "ControlAPI",
        dependencies: [grpcCore, grpcProtobuf, protobuf],
        swiftSettings: [.swiftLanguageMode(.v6)]
    ),
    // Floor 4: listeners and the composition root; the client; the reference engine.
    .target(
        name: "ControlPlane",
        dependencies: [
            "Blocks", "KVEvents", "MemoryTier", "Tiering", "ControlAPI", grpcCore, grpcTransport, protobuf,
            nioCore, nioPosix,
        ],
        swiftSettings: house
    ),
    .target(
        name: "Node",
        dependencies: [
            "Blocks", "RESP", "KVEvents", "Eviction", "Placement", "MemoryTier", "DiskTier", "Tiering",
            "Cluster",
            "LarderClient", "ControlPlane", "CPosix", nioCore, nioPosix, grpcCore, logging, crypto,
            cryptoExtras,
        ],
        swiftSettings: house
    ),
    .target(
        name: "LarderClient",
        dependencies: ["Blocks", "RESP", "Placement", "CPosix", nioCore, nioPosix],
        swiftSettings: house
    ),
    .target(name: "Engine", dependencies: ["Blocks", "CEngineKernels", crypto], swiftSettings: house),
    // Floor 5: the one executable.
    .executableTarget(
        name: "larder",
        dependencies: [
            "Blocks", "RESP", "KVEvents", "Eviction", "TraceReplay", "PayloadCoding", "MemoryTier",
            "DiskTier", "Placement", "Membership", "Cluster", "ControlPlane",
            "Node",
            "LarderClient", "Engine", "CPosix",
            .product(name: "ArgumentParser", package: "swift-argument-parser"), logging,
            .product(name: "Yams", package: "Yams"),
            .product(name: "Histogram", package: "hdrhistogram-swift"),
            nioCore, nioPosix,
        ],
        swiftSettings: house
    ),
    // The test floor.
    .target(name: "CDiskFaults", path: "Tests/DiskFaults"),
    .target(
        name: "TestSupport",
        dependencies: ["Blocks", "CDiskFaults"] + sanitizers.map { .target(name: $0.name) },
        path: "Tests/TestSupport",
        swiftSettings: house
    ),
    .testTarget(name: "BlocksTests", dependencies: ["Blocks", "TestSupport"], swiftSettings: house),
    .testTarget(name: "EvictionTests", dependencies: ["Eviction", "TestSupport"], swiftSettings: house),
    .testTarget(
        name: "TraceReplayTests",
        dependencies: ["TraceReplay", "Eviction", "TestSupport"],
        swiftSettings: house
    ),
    .testTarget(name: "PlacementTests", dependencies: ["Placement", "TestSupport"], swiftSettings: house),
    .testTarget(
        name: "KVEventsTests",
        dependencies: ["KVEvents", "Blocks", "TestSupport"],
        swiftSettings: house
    ),
    .testTarget(name: "RESPTests", dependencies: ["RESP", "TestSupport", nioCore], swiftSettings: house),
    .testTarget(
        name: "PayloadCodingTests",
        dependencies: ["PayloadCoding", "Blocks", "TestSupport"],
        swiftSettings: house
    ),
    .testTarget(
        name: "MemoryTierTests",
        dependencies: ["MemoryTier", "Eviction", "PayloadCoding", "TestSupport"],
        swiftSettings: house
    ),
    .testTarget(
        name: "DiskTierTests",
        dependencies: ["DiskTier", "PayloadCoding", "TestSupport"],
        swiftSettings: house
    ),
    .testTarget(
        name: "TieringTests",
        dependencies: [
            "Tiering", "Blocks", "Eviction", "MemoryTier", "DiskTier", "TraceReplay", "TestSupport",
        ],
        swiftSettings: house
    ),
    .testTarget(
        name: "MembershipTests",
        dependencies: ["Membership", "Placement", "Blocks", "TestSupport", logging],
        swiftSettings: house
    ),
    .testTarget(
        name: "NodeTests",
        dependencies: [
            "Node", "ControlPlane", "LarderClient", "KVEvents", "Blocks", "Placement", "Membership",
            "Cluster", "Tiering",
            "MemoryTier",
            "CPosix",
            "TestSupport", nioCore, nioPosix, nioEmbedded,
        ],
        swiftSettings: house
    ),
    .testTarget(
        name: "ControlPlaneTests",
        dependencies: [
            "ControlPlane", "ControlAPI", "Node", "Blocks", "Tiering", "MemoryTier", "TestSupport", grpcCore,
            grpcTransport, protobuf, logging,
        ],
        swiftSettings: house
    ),
    .testTarget(
        name: "LarderClientTests",
        dependencies: ["LarderClient", "Node", "Tiering", "MemoryTier", "TestSupport", nioCore, nioPosix],
        swiftSettings: house
    ),
    .testTarget(
        name: "EngineTests",
        dependencies: ["Engine", "Blocks", "TestSupport"],
        exclude: ["Fixtures"],
        swiftSettings: house
    ),
    .testTarget(
        name: "CommandLineTests",
        dependencies: ["larder", "Eviction", "TraceReplay", "PayloadCoding", "TestSupport"],
        swiftSettings: house
    ),
]

// Fuzzers are built only when asked for, with `swift build --sanitize=fuzzer`: they have no main of their own.
let fuzzers: [Target] =
    ProcessInfo.processInfo.environment["LARDER_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "RESPFuzz",
            dependencies: ["RESP", nioCore],
            path: "Tests/Fuzz/RESPFuzz",
            exclude: ["resp.dict"],
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "RecordFuzz",
            dependencies: ["Blocks", "PayloadCoding", "DiskTier"],
            path: "Tests/Fuzz/RecordFuzz",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "CodecFuzz",
            dependencies: ["Blocks", "PayloadCoding"],
            path: "Tests/Fuzz/CodecFuzz",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]
        ),
    ]

let package = Package(
    name: "larder",
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        // exact: the node wraps arena memory in ByteBuffers by an SPI that may change between versions.
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", exact: "2.9.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: targets + fuzzers + sanitizers
)
