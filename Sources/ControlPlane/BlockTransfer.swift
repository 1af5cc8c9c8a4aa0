package import Foundation

/// What a put says of a block before its payload.
package struct BlockPut: Sendable {
    package var space: SpaceName
    package var key: [UInt8]
    /// Bytes of the payload, 1 to `Limits.payloadByteCountMax`.
    package var payloadByteCount: Int
    /// Tokens of the block, 0 when nobody said.
    package var tokenCount: UInt32 = 0
    /// How long it may be read; `nil` is without end.
    package var timeToLive: Duration?
    /// Whether eviction must leave it for its time to live.
    package var isPinned = false
    /// Whether the put ends only when the block is on disk and synced.
    package var isDurable = false
    /// The key before this one in its chain.
    package var predecessor: [UInt8]?

    /// Describes a block.
    package init(space: SpaceName, key: [UInt8], payloadByteCount: Int) {
        self.space = space
        self.key = key
        self.payloadByteCount = payloadByteCount
    }
}

/// Room for a block that is being received; given back when it goes without a commit. One party at a time uses it.
package protocol BlockIntake: Sendable {
    /// Adds the next bytes; together at most as many as were announced.
    func append(_ bytes: Data) throws(ControlError)
    /// Makes the block visible, whose bytes are all there and have this checksum.
    ///
    /// - Returns: Whether it was stored; false when the same bytes were there already.
    func commit(checksum: UInt64) async throws -> Bool
}

/// A block that is being read; stays readable while this lives.
package protocol BlockReading: Sendable {
    var payloadByteCount: Int { get }
    /// XXH3 of the payload as it was put; whoever reads the pieces proves it.
    var checksum: UInt64 { get }
    var tokenCount: UInt32 { get }
    /// Part of the payload.
    func piece(_ range: Range<Int>) async throws -> Data
    /// Takes the block away: its bytes do not have its checksum.
    func foundCorrupt() async
}
