internal import Blocks

/// The namespace of a replay: runs of one name and one size of block meet each other's blocks.
enum ReplayNamespace {
    /// Describes the namespace.
    static func description(
        name: String,
        blockByteCount: Int
    ) throws(CommandFailure) -> NamespaceDescription {
        try NamespaceArgument.parse(
            JSONText.object([
                "engine": .string("larder-trace"), "revision": .string(name),
                "block_bytes": .integer(blockByteCount),
                "tokens_per_block": .integer(RecordedTrace.tokensPerBlock),
            ]).compact
        )
    }

    /// A name that no other run has.
    static func freshName() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }

    /// The keys of blocks: their names in decimal digits.
    static func keys(of blocks: ArraySlice<UInt64>) -> KeyBatch {
        var keys = KeyBatch()
        for block in blocks {
            let digits = Array(String(block).utf8)
            let span = digits.span
            // SAFETY: bytes have no padding that could be read uninitialized.
            unsafe keys.append(span.bytes)
        }
        return keys
    }
}
