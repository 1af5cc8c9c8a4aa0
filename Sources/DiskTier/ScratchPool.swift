import Synchronization

/// Scratch memory that readers take turns with: fresh pages cost more than the decoding done in them.
final class ScratchPool: Sendable {
    private static let keptCountMax = 8
    private let kept = Mutex<[CodecScratch]>([])

    /// Takes one that nobody uses.
    func take() -> CodecScratch { kept.withLock { $0.popLast() } ?? CodecScratch() }

    /// Gives one back.
    func give(_ scratch: CodecScratch) {
        kept.withLock { kept in
            if kept.count < Self.keptCountMax { kept.append(scratch) }
        }
    }
}
