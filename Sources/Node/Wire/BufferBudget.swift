internal import Synchronization

/// Memory beside the arena that all connections together may take for copied replies: bytes that were handed to a socket
/// which does not take them yet.
///
/// Who is over it goes on when others have sent theirs; what a single connection may queue is bounded by its own high mark.
final class BufferBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let waits = Atomic<Int>(0)
    /// Bytes of all connections together.
    let byteCountMax: Int

    init(byteCountMax: Int) {
        self.byteCountMax = byteCountMax
    }

    /// Bytes that wait to be sent.
    var usedByteCount: Int { used.load(ordering: .relaxed) }
    /// The most there have been.
    var peakByteCount: Int { peak.load(ordering: .relaxed) }
    /// How often a reply had to wait for the budget.
    var waitCount: Int { waits.load(ordering: .relaxed) }

    /// Whether there is room for more; counted where not.
    var hasRoom: Bool {
        if used.load(ordering: .relaxed) < byteCountMax { return true }
        waits.wrappingAdd(1, ordering: .relaxed)
        return false
    }

    /// Bytes were queued.
    func add(_ byteCount: Int) {
        let now = used.wrappingAdd(byteCount, ordering: .relaxed).newValue
        var known = peak.load(ordering: .relaxed)
        while now > known {
            let (exchanged, original) = peak.compareExchange(
                expected: known,
                desired: now,
                ordering: .relaxed
            )
            if exchanged { return }
            known = original
        }
    }

    /// They are sent, or never will be.
    func remove(_ byteCount: Int) {
        used.wrappingSubtract(byteCount, ordering: .relaxed)
    }
}
