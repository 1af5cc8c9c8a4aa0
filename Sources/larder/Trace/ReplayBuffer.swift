/// Memory of one client of a replay, in regions of a block each.
@safe final class ReplayBuffer {
    private let memory: UnsafeMutableRawBufferPointer
    private let blockByteCount: Int
    /// Regions.
    let count: Int

    /// Most memory of one client, unless a single block is larger.
    private static let byteCountMax = 64 << 20

    /// - Parameters:
    ///   - blockByteCount: bytes of a region.
    ///   - countMax: regions that are ever needed at once; fewer are made when they would be too large.
    init(blockByteCount: Int, countMax: Int) {
        self.blockByteCount = blockByteCount
        count = max(1, min(countMax, Self.byteCountMax / blockByteCount))
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: blockByteCount * count,
            alignment: 4_096
        )
        // SAFETY: every byte is initialized, and no page is touched for the first time in a timed part.
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { unsafe memory.deallocate() }

    /// The first `count` regions.
    func regions(_ count: Int) -> [UnsafeMutableRawBufferPointer] {
        unsafe (0..<count).map { unsafe self[$0] }
    }

    /// One region.
    subscript(index: Int) -> UnsafeMutableRawBufferPointer {
        let start = index * blockByteCount
        return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + blockByteCount)])
    }
}
