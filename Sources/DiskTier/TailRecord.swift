package import Blocks

/// One metadata record at the tail of a unit. Units are replayed in order at start; nothing else says what is where.
///
/// The first byte is the kind. A block record is the kind, the block's number in its unit (4 bytes), its header (128)
/// and its key. The others are the kind, their fields and an XXH3 over both; all little endian.
package enum TailRecord: Hashable, Sendable {
    /// A block of this unit: its number, header and key.
    case block(number: UInt32, header: BlockHeader, key: [UInt8])
    /// Hides what was stored of a key before `bound`.
    case tombstone(identity: BlockIdentity, bound: BlockLocation)
    /// Hides what was stored of a namespace before `bound`.
    case clear(prefix: KeyPrefix, bound: BlockLocation)
    /// Gives the block at `location` other attributes than its header has.
    case attributes(identity: BlockIdentity, location: BlockLocation, BlockAttributes)

    private enum Kind: UInt8 {
        case block = 1
        case tombstone = 2
        case clear = 3
        case attributes = 4
    }

    /// Bytes of a block record beside header and key.
    package static let blockOverheadByteCount = 5

    /// Decodes a record; throws `.corruptBlock` for any bytes that are not one.
    package init(decoding bytes: RawSpan) throws(CacheError) {
        var fields = FieldReader(bytes)
        guard let kind = Kind(rawValue: fields.next()) else {
            throw CacheError(.corruptBlock, "not a tail record")
        }
        if kind == .block {
            let number: UInt32 = fields.next()
            let rest = bytes.extracting(last: fields.remainingByteCount)
            let header = try BlockHeader(decoding: rest)
            guard rest.byteCount == BlockHeader.byteCount + header.keyByteCount else {
                throw CacheError(.corruptBlock, "a block record of the wrong length")
            }
            let key = unsafe rest.extracting(last: header.keyByteCount).withUnsafeBytes { unsafe Array($0) }
            self = .block(number: number, header: header, key: key)
            return
        }
        let record: TailRecord? =
            switch kind {
            case .block: nil
            case .tombstone: .tombstone(identity: Self.identity(&fields), bound: Self.location(&fields))
            case .clear: .clear(prefix: Self.prefix(&fields), bound: Self.location(&fields))
            case .attributes:
                .attributes(
                    identity: Self.identity(&fields),
                    location: Self.location(&fields),
                    try Self.attributes(&fields)
                )
            }
        let checksum: UInt64 = fields.next()
        guard let record, fields.isWhole, fields.remainingByteCount == 0,
            checksum == Self.checksum(of: bytes.extracting(first: bytes.byteCount - 8))
        else {
            throw CacheError(.corruptBlock, "a damaged tail record")
        }
        self = record
    }

    /// Reads only number and header of a block's record; `nil` for other and for damaged records.
    package static func block(decoding bytes: RawSpan) -> (number: UInt32, header: BlockHeader)? {
        var fields = FieldReader(bytes)
        guard fields.next(UInt8.self) == Kind.block.rawValue else { return nil }
        let number: UInt32 = fields.next()
        let rest = bytes.extracting(last: fields.remainingByteCount)
        guard let header = try? BlockHeader(decoding: rest),
            rest.byteCount == BlockHeader.byteCount + header.keyByteCount
        else { return nil }
        return (number, header)
    }

    /// The record's bytes. The key of a block must have its header's length.
    package func encoded() -> [UInt8] {
        var fields = FieldWriter()
        switch self {
        case .block(let number, let header, let key):
            return unsafe Self.encodedBlock(number: number, header: header, key: key.span.bytes)
        case .tombstone(let identity, let bound):
            fields.append(Kind.tombstone.rawValue)
            fields.append(identity)
            fields.append(bound)
        case .clear(let prefix, let bound):
            fields.append(Kind.clear.rawValue)
            fields.append(prefix)
            fields.append(bound)
        case .attributes(let identity, let location, let attributes):
            fields.append(Kind.attributes.rawValue)
            fields.append(identity)
            fields.append(location)
            fields.append(attributes.tokenCount)
            fields.append(attributes.elementType.rawValue)
            fields.append(attributes.createdAt)
            fields.append(attributes.expiresAt)
            fields.append(attributes.pinnedUntil)
        }
        fields.append(unsafe Self.checksum(of: fields.bytes.span.bytes))
        return fields.bytes
    }

    /// The bytes of a block's record.
    static func encodedBlock(number: UInt32, header: BlockHeader, key: RawSpan) -> [UInt8] {
        var fields = FieldWriter()
        fields.append(Kind.block.rawValue)
        fields.append(number)
        let start = fields.bytes.count
        var bytes = fields.bytes
        bytes.append(contentsOf: repeatElement(0, count: BlockHeader.byteCount + header.keyByteCount))
        unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe header.encode(key: key, into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
        }
        return bytes
    }

    private static func checksum(of bytes: RawSpan) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
    }

    private static func prefix(_ fields: inout FieldReader) -> KeyPrefix {
        KeyPrefix(words: SIMD2(fields.next(), fields.next()))
    }

    private static func identity(_ fields: inout FieldReader) -> BlockIdentity {
        BlockIdentity(prefix: prefix(&fields), digest: SIMD2(fields.next(), fields.next()))
    }

    private static func location(_ fields: inout FieldReader) -> BlockLocation {
        BlockLocation(unit: fields.next(), number: fields.next())
    }

    private static func attributes(_ fields: inout FieldReader) throws(CacheError) -> BlockAttributes {
        let tokenCount: UInt32 = fields.next()
        guard let elementType = ElementType(rawValue: fields.next()) else {
            throw CacheError(.corruptBlock, "unknown element type")
        }
        return BlockAttributes(
            tokenCount: tokenCount,
            elementType: elementType,
            createdAt: fields.next(),
            expiresAt: fields.next(),
            pinnedUntil: fields.next()
        )
    }
}

extension FieldWriter {
    fileprivate mutating func append(_ prefix: KeyPrefix) {
        append(prefix.words.x)
        append(prefix.words.y)
    }

    fileprivate mutating func append(_ identity: BlockIdentity) {
        append(identity.prefix)
        append(identity.digest.x)
        append(identity.digest.y)
    }

    fileprivate mutating func append(_ location: BlockLocation) {
        append(location.unit)
        append(location.number)
    }
}
