internal import Blocks

/// All that a shard knows of one block, 112 bytes: the header's facts, where the bytes are, who holds them.
struct BlockEntry: BitwiseCopyable {
    /// Who and which.
    var identity: BlockIdentity
    private var createdAt: UInt64
    /// When it stops being readable, milliseconds since 1970; 0 is never.
    private(set) var expiresAt: UInt64
    /// Until when it must not be evicted, milliseconds since 1970; 0 is not pinned.
    private(set) var pinnedUntil: UInt64
    /// XXH3 of the payload.
    var payloadChecksum: UInt64
    /// 38 bits of first granule, 10 of key length, 8 of element type, 8 of flags.
    private var place: UInt64
    /// The allocator's record of the extent; in a vacant entry the next vacant one.
    var extentNode: UInt32
    private var payloadLength: UInt32
    /// Bytes of the payload as it lies in the extent.
    private var storedLength: UInt32
    private var tokenCount: UInt32
    /// Which occupant of this entry; never 0.
    var generation: UInt32
    /// Leases and holds.
    var leaseCount: UInt32
    /// Reads since the block came.
    var hitCount: UInt32

    /// What is true or not of a block.
    struct Flags: OptionSet {
        let rawValue: UInt8
        /// In the index and visible.
        static let linked = Flags(rawValue: 1)
        /// No other tier holds it.
        static let dirty = Flags(rawValue: 2)
        /// Counted as pinned.
        static let pinned = Flags(rawValue: 4)
        /// The eviction policy does not propose it.
        static let withheld = Flags(rawValue: 8)
        /// Taken over from the run before, its payload not proved since.
        static let unverified = Flags(rawValue: 16)
        /// The payload lies coded in its extent and cannot be read in place.
        static let packed = Flags(rawValue: 32)
        /// A copy of what another node of the cluster keeps.
        static let near = Flags(rawValue: 64)
    }

    /// A vacant entry that no block has used.
    init() {
        identity = BlockIdentity(prefix: KeyPrefix(words: .zero), digest: .zero)
        createdAt = 0
        expiresAt = 0
        pinnedUntil = 0
        payloadChecksum = 0
        place = 0
        extentNode = 0
        payloadLength = 0
        storedLength = 0
        tokenCount = 0
        generation = 1
        leaseCount = 0
        hitCount = 0
    }

    /// Takes a block in; the generation stays.
    mutating func occupy(with header: BlockHeader, extent: Extent) {
        identity = header.identity
        payloadChecksum = header.payloadChecksum
        place = UInt64(truncatingIfNeeded: header.keyByteCount) << 38
        payloadLength = UInt32(truncatingIfNeeded: header.payloadByteCount)
        move(to: extent, storedByteCount: header.storedByteCount)
        leaseCount = 0
        hitCount = 0
        createdAt = 0
        expiresAt = 0
        pinnedUntil = 0
        tokenCount = 0
        attributes = header.attributes
    }

    /// Says where the payload lies now, and how long it is there.
    mutating func move(to extent: Extent, storedByteCount: Int) {
        place = place & ~(1 << 38 - 1) | UInt64(truncatingIfNeeded: extent.firstGranule)
        extentNode = extent.node
        storedLength = UInt32(truncatingIfNeeded: storedByteCount)
    }

    /// Makes handles of the block that was here stale.
    mutating func vacate(nextVacant: UInt32) {
        let occupants = generation &+ 1
        self = BlockEntry()
        generation = occupants == 0 ? 1 : occupants
        extentNode = nextVacant
    }

    /// What is true of the block.
    var flags: Flags {
        get { Flags(rawValue: UInt8(truncatingIfNeeded: place >> 56)) }
        set { place = place & ~(0xFF << 56) | UInt64(newValue.rawValue) << 56 }
    }

    /// Tokens, times, pin and number format.
    var attributes: BlockAttributes {
        get {
            BlockAttributes(
                tokenCount: tokenCount,
                elementType: ElementType(rawValue: UInt8(truncatingIfNeeded: place >> 48)) ?? .unspecified,
                createdAt: createdAt,
                expiresAt: expiresAt,
                pinnedUntil: pinnedUntil
            )
        }
        set {
            tokenCount = newValue.tokenCount
            place = place & ~(0xFF << 48) | UInt64(newValue.elementType.rawValue) << 48
            createdAt = newValue.createdAt
            expiresAt = newValue.expiresAt
            pinnedUntil = newValue.pinnedUntil
        }
    }

    /// Bytes of the payload.
    var payloadByteCount: Int { Int(payloadLength) }
    /// Bytes of the payload as it lies in the extent.
    var storedByteCount: Int { Int(storedLength) }
    /// Bytes of the key.
    var keyByteCount: Int { Int(truncatingIfNeeded: place >> 38) & 0x3FF }
    /// Where the extent begins, bytes from the arena's start.
    var byteOffset: Int { Int(truncatingIfNeeded: place & (1 << 38 - 1)) * Extent.granuleByteCount }
    /// Where header, key and payload are in the extent.
    var layout: ExtentLayout { ExtentLayout(keyByteCount: keyByteCount, payloadByteCount: storedByteCount) }
    /// Bytes of the extent.
    var byteCount: Int { layout.byteCount }
    /// Payload length and attributes.
    var summary: BlockSummary {
        BlockSummary(
            payloadByteCount: payloadByteCount,
            payloadChecksum: payloadChecksum,
            attributes: attributes
        )
    }
}
