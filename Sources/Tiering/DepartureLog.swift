internal import Blocks
internal import Synchronization

/// Remembers why the last blocks left, so that a miss can be explained and counted by reason. Bounded.
final class DepartureLog: Sendable {
    private struct State {
        var reasons: [BlockIdentity: Explanation] = [:]
        var ring: [BlockIdentity] = []
        var next = 0
    }

    private let state = Mutex(State())
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = max(1, countMax)
    }

    func record(_ identity: BlockIdentity, _ reason: Explanation) {
        state.withLock { state in
            guard state.reasons.updateValue(reason, forKey: identity) == nil else { return }
            if state.ring.count < countMax {
                state.ring.append(identity)
            } else {
                state.reasons[state.ring[state.next]] = nil
                state.ring[state.next] = identity
                state.next = (state.next + 1) % countMax
            }
        }
    }

    /// The block's last departure; `.neverSeen` when none is remembered.
    func reason(_ identity: BlockIdentity) -> Explanation {
        state.withLock { $0.reasons[identity] ?? .neverSeen }
    }
}
