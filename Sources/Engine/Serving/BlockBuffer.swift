/// Memory for some blocks side by side, taken once and used for every transfer.
///
/// Sendable because its owner lends it to one transfer at a time and does not touch it until the transfer has ended.
@safe
package final class BlockBuffer: @unchecked Sendable {
    /// Regions.
    package let blockCount: Int
    /// Bytes of a region.
    package let blockByteCount: Int
    private let memory: UnsafeMutableRawBufferPointer

    /// Takes memory and touches all of it, so that no transfer pays for fresh pages.
    package init(blockCount: Int, blockByteCount: Int) {
        precondition(blockCount > 0 && blockByteCount > 0)
        self.blockCount = blockCount
        self.blockByteCount = blockByteCount
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: blockCount * blockByteCount, alignment: 64)
        // SAFETY: the bytes were just allocated.
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { unsafe memory.deallocate() }

    /// One block's bytes. Traps outside `0..<blockCount`: a mistake of ours.
    package subscript(index: Int) -> UnsafeMutableRawBufferPointer {
        unsafe blocks(index..<index + 1)
    }

    /// The bytes of some blocks. Traps outside `0..<blockCount`: a mistake of ours.
    package func blocks(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= blockCount)
        // SAFETY: the range lies inside the memory.
        return unsafe UnsafeMutableRawBufferPointer(
            rebasing: memory[range.lowerBound * blockByteCount..<range.upperBound * blockByteCount]
        )
    }
}
