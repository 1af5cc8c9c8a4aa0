extension BlockHeader {
    /// Whether `bytes` begin with a header of `identity` that is followed by `key`.
    ///
    /// A quick proof that encoded bytes are the block asked for: it compares, but verifies no checksum.
    ///
    /// - Parameter bytes: at least the header and a key; false when shorter.
    package static func names(_ identity: BlockIdentity, key: RawSpan, in bytes: UnsafeRawBufferPointer)
        -> Bool
    {
        let keyByteCount = key.byteCount
        guard bytes.count >= byteCount + keyByteCount else { return false }
        // SAFETY: all offsets are below the length checked above.
        func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
            T(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        guard load(0, as: UInt32.self) == magic,
            Int(load(8, as: UInt16.self)) == keyByteCount,
            load(48, as: UInt64.self) == identity.prefix.words.x,
            load(56, as: UInt64.self) == identity.prefix.words.y,
            load(64, as: UInt64.self) == identity.digest.x,
            load(72, as: UInt64.self) == identity.digest.y
        else { return false }
        var offset = 0
        while offset &+ 8 <= keyByteCount {
            let word = unsafe key.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            guard word == load(byteCount &+ offset, as: UInt64.self).littleEndian else { return false }
            offset &+= 8
        }
        while offset < keyByteCount {
            let byte = unsafe key.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            guard byte == load(byteCount &+ offset, as: UInt8.self) else { return false }
            offset &+= 1
        }
        return true
    }
}
