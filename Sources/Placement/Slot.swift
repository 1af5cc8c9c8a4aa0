/// One of the 16,384 slots that keys fall into, as Redis Cluster has them: placement is decided per slot, not per key.
///
/// So an owner is found by a table, and clients of Redis Cluster find the same one by themselves.
public enum Slot {
    /// Slots of a cluster, whatever its size.
    public static let count = 16_384

    /// The slot of a key: CRC-16 of the key, or of what stands between its first `{` and the next `}` if that is not
    /// empty, modulo 16,384.
    ///
    /// As in Redis Cluster's specification, section "Key distribution model".
    public static func of(_ key: RawSpan) -> UInt16 {
        var first = 0
        var end = key.byteCount
        if let tag = hashTag(key) { (first, end) = (tag.lowerBound, tag.upperBound) }
        var crc: UInt16 = 0
        for offset in first..<end {
            let index = Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte(key, offset))
            crc = crc << 8 ^ table[index]
        }
        return crc & 0x3fff
    }

    private static func hashTag(_ key: RawSpan) -> Range<Int>? {
        guard let open = position(of: UInt8(ascii: "{"), in: key, from: 0),
            let close = position(of: UInt8(ascii: "}"), in: key, from: open + 1), close > open + 1
        else { return nil }
        return open + 1..<close
    }

    private static func position(of wanted: UInt8, in key: RawSpan, from start: Int) -> Int? {
        for offset in start..<max(start, key.byteCount) where byte(key, offset) == wanted { return offset }
        return nil
    }

    private static func byte(_ key: RawSpan, _ offset: Int) -> UInt8 {
        // SAFETY: bytes have no padding that could be read uninitialized; the offset is checked.
        unsafe key.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
    private static let table: [UInt16] = (0..<256).map { byte in
        var crc = UInt16(byte) << 8
        for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
        return crc
    }
}
