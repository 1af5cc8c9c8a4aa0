/// What one request may do in one turn of an event loop: bytes proved and sent, and time. A pure value.
///
/// A turn that is over goes on later, after whatever else the loop has to do: no request keeps the other connections of its
/// loop waiting for longer than a turn and the block that began in it.
struct TurnBudget {
    /// Payload bytes of one turn.
    static let byteCountMax = 4 << 20
    /// Nanoseconds of one turn.
    static let nanosecondsMax: UInt64 = 1_000_000

    private var byteCount = 0
    private let startedAt: UInt64

    /// A turn that begins `now` (monotonic nanoseconds).
    init(now: UInt64) {
        startedAt = now
    }

    /// Counts what was done.
    mutating func spend(byteCount: Int) {
        self.byteCount += max(0, byteCount)
    }

    /// Whether the turn is over at `now`.
    func isSpent(now: UInt64) -> Bool {
        byteCount >= Self.byteCountMax || now &- startedAt >= Self.nanosecondsMax
    }
}
