import Blocks

/// What the index keeps of a block: 88 bytes.
struct IndexEntry {
    let identity: BlockIdentity
    /// Tells the same bytes from other ones without reading them.
    var payloadChecksum: UInt64
    var createdAt: UInt64
    var expiresAt: UInt64
    var pinnedUntil: UInt64
    var location: BlockLocation
    var payloadByteCount: UInt32
    var storedByteCount: UInt32
    var tokenCount: UInt32
    var elementType: ElementType

    init(header: BlockHeader, location: BlockLocation) {
        identity = header.identity
        self.location = location
        // Both are at most 512 MiB, checked when the header was made or decoded.
        payloadByteCount = UInt32(clamping: header.payloadByteCount)
        storedByteCount = UInt32(clamping: header.storedByteCount)
        payloadChecksum = header.payloadChecksum
        createdAt = header.attributes.createdAt
        expiresAt = header.attributes.expiresAt
        pinnedUntil = header.attributes.pinnedUntil
        tokenCount = header.attributes.tokenCount
        elementType = header.attributes.elementType
    }

    var attributes: BlockAttributes {
        get {
            BlockAttributes(
                tokenCount: tokenCount,
                elementType: elementType,
                createdAt: createdAt,
                expiresAt: expiresAt,
                pinnedUntil: pinnedUntil
            )
        }
        set {
            tokenCount = newValue.tokenCount
            elementType = newValue.elementType
            createdAt = newValue.createdAt
            expiresAt = newValue.expiresAt
            pinnedUntil = newValue.pinnedUntil
        }
    }

    var summary: BlockSummary {
        BlockSummary(
            payloadByteCount: Int(payloadByteCount),
            payloadChecksum: payloadChecksum,
            attributes: attributes
        )
    }

    func isExpired(at unixMilliseconds: UInt64) -> Bool { expiresAt != 0 && expiresAt <= unixMilliseconds }

    func isPinned(at unixMilliseconds: UInt64) -> Bool { pinnedUntil > unixMilliseconds }
}
