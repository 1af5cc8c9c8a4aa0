/// How hard a call tries.
struct CallEffort: Sendable {
    /// How long it may take.
    let timeout: Duration
    /// Whether an open breaker ends it at once.
    let asksBreaker: Bool

    /// An engine's call: nothing when the node is known to be sick.
    static func engine(_ timeout: Duration) -> CallEffort {
        CallEffort(timeout: timeout, asksBreaker: true)
    }

    /// A tool's call: tried in any case.
    static func tool(_ timeout: Duration) -> CallEffort {
        CallEffort(timeout: timeout, asksBreaker: false)
    }
}
