internal import Blocks
package import Eviction

/// What a memory tier is made of; fixed for its life.
package struct MemoryTierConfiguration: Sendable {
    /// Bytes of the arena, for headers, keys and payloads: a multiple of 2 MiB, at least 16 MiB.
    package var byteCount: Int
    /// Most blocks held at once, reservations and blocks that wait for their last lease included.
    package var blockCountMax: Int
    /// Independent locks of the index; a power of two, 1 to 256.
    package var shardCount: Int
    /// Whether `MemoryTier.prefault` claims the arena's pages ahead of use.
    package var prefaults: Bool
    /// Whether other processes that are given the arena may write to it.
    package var sharesWrites = false
    /// Where the arena outlives the process; `nil` for memory that goes with it.
    package var file: MemoryFileConfiguration?
    /// Which block goes when there is no room.
    package var policy: EvictionPolicyName

    /// Smallest arena, bytes.
    package static let byteCountMin = 16 << 20
    /// What an arena's length is a multiple of, bytes.
    package static let byteCountStep = 2 << 20
    /// Largest arena, bytes (16 TiB).
    package static let byteCountMax = 16 << 40

    /// Throws `.invalidArgument` for what is out of bounds.
    func validate() throws(CacheError) {
        guard (Self.byteCountMin...Self.byteCountMax).contains(byteCount), byteCount % Self.byteCountStep == 0
        else {
            throw CacheError(
                .invalidArgument,
                "the memory tier takes 16 MiB to 16 TiB in steps of 2 MiB, not \(byteCount)"
            )
        }
        guard (1...(1 << 28)).contains(blockCountMax) else {
            throw CacheError(
                .invalidArgument,
                "the memory tier takes 1 to 268435456 blocks, not \(blockCountMax)"
            )
        }
        guard (1...256).contains(shardCount), shardCount.nonzeroBitCount == 1 else {
            throw CacheError(
                .invalidArgument,
                "the number of shards is a power of two up to 256, not \(shardCount)"
            )
        }
    }

    /// Creates a configuration; `MemoryTier.init` checks it.
    package init(
        byteCount: Int,
        blockCountMax: Int,
        shardCount: Int = 64,
        prefaults: Bool = true,
        policy: EvictionPolicyName = .forecast
    ) {
        self.byteCount = byteCount
        self.blockCountMax = blockCountMax
        self.shardCount = shardCount
        self.prefaults = prefaults
        self.policy = policy
    }
}
