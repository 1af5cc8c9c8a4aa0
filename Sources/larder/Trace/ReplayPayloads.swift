#if canImport(Glibc)
    internal import Glibc
#endif

/// The payloads of a replay: a block's name in the first eight bytes, then a window into random memory that the name
/// chooses.
///
/// The same block has the same bytes in every run, and no two blocks have the same, so that comparing all bytes finds
/// any block in the place of another. Making one costs a copy, proving one a comparison. No codec makes them smaller.
@safe final class ReplayPayloads: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: written by init and only read after it.
    private let memory: UnsafeMutableRawBufferPointer

    /// Bytes of each payload.
    let byteCount: Int

    /// Smallest payload: the name.
    static let byteCountMin = nameByteCount
    private static let nameByteCount = 8
    /// Where windows may begin: 1 Mi places, eight bytes apart.
    private static let spreadByteCount = 8 << 20
    private static let seed: UInt64 = 0x6c61_7264_6572

    /// - Parameter byteCount: bytes of each payload, at least `byteCountMin`.
    init(byteCount: Int) {
        self.byteCount = byteCount
        let total = (Self.spreadByteCount + byteCount + 7) / 8 * 8
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: total, alignment: 4_096)
        var words = BenchRandom(seed: Self.seed)
        for offset in Swift.stride(from: 0, to: total, by: 8) {
            // SAFETY: the memory is a multiple of eight bytes long.
            unsafe memory.storeBytes(of: words.next(), toByteOffset: offset, as: UInt64.self)
        }
    }

    deinit { unsafe memory.deallocate() }

    /// Writes the payload of `block` to `region`, which has its length.
    func write(_ block: UInt64, to region: UnsafeMutableRawBufferPointer) {
        // SAFETY: the window and the region are as long as the payload, which begins with room for the name.
        unsafe region.copyMemory(from: window(block))
        unsafe region.storeBytes(of: block.littleEndian, as: UInt64.self)
    }

    /// The first byte of `bytes` that is not the payload's of `block`; `nil` when all are right.
    func firstWrongByte(of block: UInt64, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count == byteCount else { return min(bytes.count, byteCount) }
        for index in 0..<Self.nameByteCount {
            let byte = UInt8(truncatingIfNeeded: block >> (8 * UInt64(index)))
            guard unsafe bytes[index] == byte else { return index }
        }
        let expected = unsafe window(block)
        let rest = byteCount - Self.nameByteCount
        guard let left = bytes.baseAddress, let right = expected.baseAddress, rest > 0 else { return nil }
        // SAFETY: both sides have `rest` bytes behind the name.
        let order = unsafe memcmp(left + Self.nameByteCount, right + Self.nameByteCount, rest)
        guard order != 0 else { return nil }
        return (Self.nameByteCount..<byteCount).first { unsafe bytes[$0] != expected[$0] }
    }

    private func window(_ block: UInt64) -> UnsafeRawBufferPointer {
        var bits = BenchRandom(seed: block)
        let place = Int(truncatingIfNeeded: bits.next() % UInt64(Self.spreadByteCount / 8)) * 8
        return unsafe UnsafeRawBufferPointer(rebasing: memory[place..<(place + byteCount)])
    }
}
