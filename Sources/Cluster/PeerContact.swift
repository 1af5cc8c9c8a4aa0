internal import Synchronization

/// Until when a node has heard what another node has to say of deletions. A pure value under one lock.
///
/// Whoever answers a heartbeat has also been sent every deletion until then, or says that one did not arrive. So a node that
/// was in contact all the time knows of all; one that was away, stopped or cut off asks for what came since its last
/// contact before it serves what it holds.
final class PeerContact: Sendable {
    /// What a node has to ask another for.
    struct Gap: Hashable {
        /// The last contact, milliseconds since 1970 by the other node's clock: everything until then is known, but for what
        /// was on its way.
        let heardAt: UInt64
        /// The other node's log at the last contact; `nil` when there was none.
        let logID: UInt64?

        /// Deletions heard of at or after this are asked for.
        var since: UInt64 { heardAt > PeerContact.overlap ? heardAt - PeerContact.overlap : 0 }
    }

    private struct State {
        /// The last contact by the other node's clock, milliseconds since 1970; `nil` before the first.
        var heardAt: UInt64?
        var logID: UInt64?
        /// The same by this node's monotonic clock, nanoseconds.
        var contactAt: UInt64
        var needsCatchUp: Bool
        /// Whether a deletion of this node's did not reach the other one.
        var missed = false
    }

    private let state: Mutex<State>
    /// Deletions that were on their way at the last contact are asked for again, milliseconds.
    static let overlap: UInt64 = 10_000

    /// `since` and `logID` are what the previous run of this node knew; `nil` for a node that it never met.
    init(since: UInt64?, logID: UInt64?, now: UInt64) {
        state = Mutex(State(heardAt: since, logID: logID, contactAt: now, needsCatchUp: since != nil))
    }

    /// The other node answered a heartbeat. `theirs` is its clock; `limit` the longest pause without a gap, nanoseconds.
    /// Returns whether there is something to ask it for.
    func answered(theirs: UInt64, saysMissed: Bool, at now: UInt64, limit: UInt64) -> Bool {
        state.withLock { state in
            if saysMissed || state.heardAt != nil && now &- state.contactAt > limit {
                state.needsCatchUp = true
            }
            state.contactAt = now
            // Before the gap is closed the last contact stays where it was.
            if !state.needsCatchUp { state.heardAt = theirs }
            return state.needsCatchUp
        }
    }

    /// What to ask for; `nil` when nothing was missed.
    var gap: Gap? {
        state.withLock { state in
            guard state.needsCatchUp else { return nil }
            // Without a last contact, which a run that was killed early has not written down: all that it remembers.
            return Gap(heardAt: state.heardAt ?? 0, logID: state.logID)
        }
    }

    /// The gap is closed: all that the other node heard of until `theirs`, by its clock, is known.
    func caughtUp(theirs: UInt64, logID: UInt64) {
        state.withLock { state in
            state.heardAt = theirs
            state.logID = logID
            state.needsCatchUp = false
        }
    }

    /// The log that the other node says it has, at a contact without a gap.
    func note(logID: UInt64) {
        state.withLock { if !$0.needsCatchUp { $0.logID = logID } }
    }

    /// Monotonic time until when what this node holds may be served for all that this one can have missed; 0 for not at all.
    func validUntil(limit: UInt64) -> UInt64 {
        state.withLock { $0.needsCatchUp ? 0 : $0.contactAt &+ limit }
    }

    /// What to remember for the next run.
    var lastContact: (heardAt: UInt64, logID: UInt64)? {
        state.withLock { state in state.heardAt.map { ($0, state.logID ?? 0) } }
    }

    /// A deletion did not reach the other node: it is told with the next heartbeat.
    func deletionMissed() { state.withLock { $0.missed = true } }

    /// Whether one did not.
    var hasMissed: Bool { state.withLock { $0.missed } }

    /// The other node asks for what it missed.
    func missedIsAsked() { state.withLock { $0.missed = false } }
}
