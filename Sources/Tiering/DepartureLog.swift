internal import Blocks
internal import Synchronization

/// Remembers why blocks left, so that a miss can be explained and counted by reason. Bounded.
///
/// The last `countMax` departures are exact. Of older ones only evictions are remembered, the last eight million or so,
/// in filters of 16 MiB together, so that a dropped segment of many small blocks can still be explained. A filter names
/// fewer than one in a hundred blocks that were never here as evicted, and a block that was deleted long after it had
/// once been evicted.
final class DepartureLog: Sendable {
    private struct State {
        var reasons: [BlockIdentity: Explanation] = [:]
        var ring: [BlockIdentity] = []
        var next = 0
        var evictions = EvictionFilters()
    }

    private let state = Mutex(State())
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = max(1, countMax)
    }

    /// Bytes of memory that the filters of older evictions take now.
    var filterByteCount: Int { state.withLock { $0.evictions.byteCount } }

    func record(_ identity: BlockIdentity, _ reason: Explanation) {
        state.withLock { state in
            guard state.reasons.updateValue(reason, forKey: identity) == nil else { return }
            if state.ring.count < countMax {
                state.ring.append(identity)
            } else {
                let oldest = state.ring[state.next]
                if state.reasons.removeValue(forKey: oldest) == .evicted { state.evictions.add(oldest) }
                state.ring[state.next] = identity
                state.next = (state.next + 1) % countMax
            }
        }
    }

    /// The block's last departure; `.neverSeen` when none is remembered.
    func reason(_ identity: BlockIdentity) -> Explanation {
        state.withLock { state in
            state.reasons[identity] ?? (state.evictions.contains(identity) ? .evicted : .neverSeen)
        }
    }
}
