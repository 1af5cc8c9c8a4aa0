package import Blocks

/// What one node tells another of a block before its payload, 40 bytes, little endian.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | version, 1 |
/// | 1 | 1 | element type |
/// | 2 | 2 | 0 |
/// | 4 | 4 | tokens |
/// | 8 | 8 | XXH3 of the payload |
/// | 16 | 8 | created, ms since 1970 |
/// | 24 | 8 | expires, ms since 1970, 0 never |
/// | 32 | 8 | pinned until, ms since 1970, 0 not |
package enum BlockHead {
    /// Bytes of a head.
    package static let byteCount = 40
    private static let version: UInt8 = 1

    /// The head of a block.
    package static func encode(_ attributes: BlockAttributes, payloadChecksum: UInt64) -> [UInt8] {
        var bytes: [UInt8] = [version, attributes.elementType.rawValue, 0, 0]
        func append<T: FixedWidthInteger>(_ value: T) {
            for shift in stride(from: 0, to: T.bitWidth, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
            }
        }
        append(attributes.tokenCount)
        append(payloadChecksum)
        append(attributes.createdAt)
        append(attributes.expiresAt)
        append(attributes.pinnedUntil)
        return bytes
    }

    /// Reads a head; `nil` for what is none.
    package static func decode(
        _ bytes: [UInt8]
    ) -> (attributes: BlockAttributes, payloadChecksum: UInt64)? {
        guard bytes.count == byteCount, bytes[0] == version,
            let elementType = ElementType(rawValue: bytes[1])
        else { return nil }
        func word(_ offset: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        }
        return (
            BlockAttributes(
                tokenCount: UInt32(truncatingIfNeeded: word(4, 4)),
                elementType: elementType,
                createdAt: word(16, 8),
                expiresAt: word(24, 8),
                pinnedUntil: word(32, 8)
            ),
            word(8, 8)
        )
    }
}
