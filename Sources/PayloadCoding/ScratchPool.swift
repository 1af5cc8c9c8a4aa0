internal import Synchronization

/// Scratch memory that threads take turns with: fresh pages cost more than the decoding done in them.
package final class ScratchPool: Sendable {
    private static let keptCountMax = 8
    private let kept = Mutex<[CodecScratch]>([])

    /// An empty pool.
    package init() {}

    /// Takes one that nobody uses.
    package func take() -> CodecScratch { kept.withLock { $0.popLast() } ?? CodecScratch() }

    /// Gives one back.
    package func give(_ scratch: CodecScratch) {
        kept.withLock { kept in
            if kept.count < Self.keptCountMax { kept.append(scratch) }
        }
    }
}
