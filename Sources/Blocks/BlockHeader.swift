/// The self-describing head of a stored block, 128 bytes, little endian, followed by the key.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic "LRDB" |
/// | 4 | 1 | version, 1 |
/// | 5 | 1 | codec |
/// | 6 | 1 | element type |
/// | 7 | 1 | 0 |
/// | 8 | 2 | key length, bytes |
/// | 10 | 2 | 0 |
/// | 12 | 4 | tokens |
/// | 16 | 8 | payload length, bytes, as the client gave it |
/// | 24 | 8 | stored length, bytes, after the codec |
/// | 32 | 8 | created, ms since 1970 |
/// | 40 | 8 | expires, ms since 1970, 0 never |
/// | 48 | 16 | key prefix (tenant and namespace) |
/// | 64 | 16 | key digest |
/// | 80 | 8 | XXH3 of the payload |
/// | 88 | 8 | XXH3 of the stored bytes |
/// | 96 | 8 | pinned until, ms since 1970, 0 not |
/// | 104 | 16 | 0 |
/// | 120 | 8 | XXH3(key) xor (XXH3(bytes 0..<120) times 0x9e3779b97f4a7c15) |
public struct BlockHeader: Hashable, Sendable {
    /// Bytes of an encoded header, without the key.
    public static let byteCount = 128
    static let magic: UInt32 = 0x4244_524C
    static let version: UInt8 = 1

    /// Who and which.
    public var identity: BlockIdentity
    /// Bytes of the key that follows.
    public var keyByteCount: Int
    /// Tokens, times, pin, number format.
    public var attributes: BlockAttributes
    /// Bytes as the client gave them, 1 to 512 MiB.
    public var payloadByteCount: Int
    /// XXH3 of those bytes.
    public var payloadChecksum: UInt64
    /// How the stored bytes are coded.
    public var codec: PayloadCodec
    /// Bytes stored; equal to `payloadByteCount` for `.raw`.
    public var storedByteCount: Int
    /// XXH3 of the stored bytes; equal to `payloadChecksum` for `.raw`.
    public var storedChecksum: UInt64

    /// Describes a payload that is stored as it came.
    public init(
        identity: BlockIdentity,
        keyByteCount: Int,
        attributes: BlockAttributes,
        payloadByteCount: Int,
        payloadChecksum: UInt64
    ) {
        self.identity = identity
        self.keyByteCount = keyByteCount
        self.attributes = attributes
        self.payloadByteCount = payloadByteCount
        self.payloadChecksum = payloadChecksum
        codec = .raw
        storedByteCount = payloadByteCount
        storedChecksum = payloadChecksum
    }

    /// Decodes and validates a header and the key behind it.
    ///
    /// - Parameter bytes: at least 128 bytes and the key; more may follow.
    /// - Throws: `.corruptBlock` when anything is off.
    public init(decoding bytes: RawSpan) throws(CacheError) {
        guard bytes.byteCount >= Self.byteCount else {
            throw CacheError(
                .corruptBlock,
                "a block header needs \(Self.byteCount) bytes, got \(bytes.byteCount)"
            )
        }
        func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
            // SAFETY: every offset used below is inside the 128 bytes checked above.
            T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
        }
        guard load(0, as: UInt32.self) == Self.magic, load(4, as: UInt8.self) == Self.version else {
            throw CacheError(.corruptBlock, "not a block header, or one of another version")
        }
        guard let codec = PayloadCodec(rawValue: load(5, as: UInt8.self)),
            let elementType = ElementType(rawValue: load(6, as: UInt8.self))
        else {
            throw CacheError(.corruptBlock, "unknown codec or element type")
        }
        let keyByteCount = Int(load(8, as: UInt16.self))
        guard (1...Limits.keyByteCountMax).contains(keyByteCount),
            bytes.byteCount - Self.byteCount >= keyByteCount
        else {
            throw CacheError(.corruptBlock, "key length \(keyByteCount) does not fit")
        }
        guard let payloadByteCount = Int(exactly: load(16, as: UInt64.self)),
            let storedByteCount = Int(exactly: load(24, as: UInt64.self)),
            (1...Limits.payloadByteCountMax).contains(payloadByteCount),
            (1...Limits.payloadByteCountMax).contains(storedByteCount)
        else {
            throw CacheError(.corruptBlock, "payload length out of bounds")
        }
        guard Self.checksum(of: bytes, keyByteCount: keyByteCount) == load(120, as: UInt64.self) else {
            throw CacheError(.corruptBlock, "header checksum does not match")
        }
        guard codec != .raw || storedByteCount == payloadByteCount else {
            throw CacheError(.corruptBlock, "a payload stored as it came has another length")
        }
        identity = BlockIdentity(
            prefix: KeyPrefix(words: SIMD2(load(48, as: UInt64.self), load(56, as: UInt64.self))),
            digest: SIMD2(load(64, as: UInt64.self), load(72, as: UInt64.self))
        )
        self.keyByteCount = keyByteCount
        attributes = BlockAttributes(
            tokenCount: load(12, as: UInt32.self),
            elementType: elementType,
            createdAt: load(32, as: UInt64.self),
            expiresAt: load(40, as: UInt64.self),
            pinnedUntil: load(96, as: UInt64.self)
        )
        self.payloadByteCount = payloadByteCount
        self.storedByteCount = storedByteCount
        payloadChecksum = load(80, as: UInt64.self)
        storedChecksum = load(88, as: UInt64.self)
        self.codec = codec
    }

    /// Encodes the header and `key` into `destination`, which has at least 128 bytes and the key's length.
    ///
    /// Traps when the destination is too small or the key's length is not the header's: a mistake of ours.
    package func encode(key: RawSpan, into destination: UnsafeMutableRawBufferPointer) {
        precondition(destination.count >= Self.byteCount + keyByteCount && key.byteCount == keyByteCount)
        // SAFETY: all stores are inside the first 128 bytes, checked above.
        func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            unsafe destination.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        for offset in stride(from: 0, to: Self.byteCount, by: 8) { store(UInt64(0), at: offset) }
        store(Self.magic, at: 0)
        store(Self.version, at: 4)
        store(codec.rawValue, at: 5)
        store(attributes.elementType.rawValue, at: 6)
        store(UInt16(truncatingIfNeeded: keyByteCount), at: 8)
        store(attributes.tokenCount, at: 12)
        store(UInt64(payloadByteCount), at: 16)
        store(UInt64(storedByteCount), at: 24)
        store(attributes.createdAt, at: 32)
        store(attributes.expiresAt, at: 40)
        store(identity.prefix.words.x, at: 48)
        store(identity.prefix.words.y, at: 56)
        store(identity.digest.x, at: 64)
        store(identity.digest.y, at: 72)
        store(payloadChecksum, at: 80)
        store(storedChecksum, at: 88)
        store(attributes.pinnedUntil, at: 96)
        // SAFETY: the key fits behind the header, checked above.
        unsafe key.withUnsafeBytes { source in
            unsafe UnsafeMutableRawBufferPointer(rebasing: destination[Self.byteCount...]).copyMemory(
                from: source
            )
        }
        // SAFETY: header and key were just written there.
        let written = unsafe UnsafeRawBufferPointer(rebasing: destination[..<(Self.byteCount + keyByteCount)])
        store(Self.checksum(of: unsafe written.bytes, keyByteCount: keyByteCount), at: 120)
    }

    /// Changes the attributes of the header and key that `bytes` begin with, in place.
    ///
    /// The checksum is stored last: whoever finds the header while it is being changed finds it damaged, never other
    /// attributes than those before or after. Identity, lengths and key are not written.
    package static func rewrite(
        _ attributes: BlockAttributes,
        keyByteCount: Int,
        in bytes: UnsafeMutableRawBufferPointer
    ) {
        precondition(bytes.count >= byteCount + keyByteCount)
        // SAFETY: all stores are inside the first 128 bytes, checked above.
        func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            unsafe bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        store(attributes.elementType.rawValue, at: 6)
        store(attributes.tokenCount, at: 12)
        store(attributes.createdAt, at: 32)
        store(attributes.expiresAt, at: 40)
        store(attributes.pinnedUntil, at: 96)
        // SAFETY: header and key lie in the bytes, checked above.
        let written = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<(byteCount + keyByteCount)])
        store(checksum(of: unsafe written.bytes, keyByteCount: keyByteCount), at: 120)
    }

    private static func checksum(of bytes: RawSpan, keyByteCount: Int) -> UInt64 {
        // SAFETY: callers checked that 128 bytes and the key are there.
        unsafe bytes.withUnsafeBytes { buffer in
            let fixed = unsafe PayloadChecksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<120]))
            let key = unsafe UnsafeRawBufferPointer(rebasing: buffer[byteCount..<(byteCount + keyByteCount)])
            return unsafe PayloadChecksum.of(key) ^ (fixed &* 0x9e37_79b9_7f4a_7c15)
        }
    }
}
