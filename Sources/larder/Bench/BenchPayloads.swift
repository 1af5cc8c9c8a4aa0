#if canImport(Glibc)
    internal import Glibc
#endif

/// The payloads of a run: windows into one stretch of random memory, a different one for each key.
///
/// They are written before anything is measured, so that no page is touched for the first time in a timed part, and
/// any key's bytes can be compared with what came back.
@safe final class BenchPayloads: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: written by init and only read after it.
    private let memory: UnsafeMutableRawBufferPointer
    private let stride: Int

    /// Bytes of each payload.
    let byteCount: Int
    /// Payloads that differ.
    let count: Int

    /// Most memory for all windows together, beside one payload.
    private static let spreadByteCountMax = 256 << 20

    init(byteCount: Int, count: Int, seed: UInt64) {
        self.byteCount = byteCount
        self.count = max(1, count)
        let apart = min(byteCount, Self.spreadByteCountMax / self.count)
        stride = max(64, apart / 64 * 64)
        let total = byteCount + stride * (self.count - 1)
        unsafe memory = BenchMemory.allocate(byteCount: (total + 7) / 8 * 8)
        var words = BenchRandom(seed: seed)
        for offset in Swift.stride(from: 0, to: unsafe memory.count, by: 8) {
            // SAFETY: the memory is a multiple of eight bytes long.
            unsafe memory.storeBytes(of: words.next(), toByteOffset: offset, as: UInt64.self)
        }
    }

    deinit { unsafe memory.deallocate() }

    /// The payload of the key at `index`; indexes wrap around.
    func payload(_ index: Int) -> UnsafeRawBufferPointer {
        let start = index % count * stride
        return unsafe UnsafeRawBufferPointer(rebasing: memory[start..<(start + byteCount)])
    }

    /// Whether `bytes` are the payload of the key at `index`.
    func matches(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let expected = unsafe payload(index)
        guard bytes.count == expected.count, let left = bytes.baseAddress, let right = expected.baseAddress
        else {
            return false
        }
        // SAFETY: both sides have `count` bytes.
        return unsafe memcmp(left, right, bytes.count) == 0
    }
}

/// SplitMix64: small, fast and the same for the same seed.
struct BenchRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
