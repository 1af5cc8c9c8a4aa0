/// How hard a call tries.
struct CallEffort: Sendable {
    /// How long it may take.
    let timeout: Duration
    /// Whether an open breaker ends it at once.
    let asksBreaker: Bool

    /// The same for what is left of the time, when it began at `start`; `nil` when nothing is left.
    func remaining(since start: ContinuousClock.Instant) -> CallEffort? {
        let rest = timeout - (ContinuousClock.now - start)
        return rest > .zero ? CallEffort(timeout: rest, asksBreaker: asksBreaker) : nil
    }

    /// An engine's call: nothing when the node is known to be sick.
    static func engine(_ timeout: Duration) -> CallEffort {
        CallEffort(timeout: timeout, asksBreaker: true)
    }

    /// A tool's call: tried in any case.
    static func tool(_ timeout: Duration) -> CallEffort {
        CallEffort(timeout: timeout, asksBreaker: false)
    }
}
