/// Decides which failed authentications are logged: the first one at once, then at most one a window with the number of
/// those that were not. Pure: the time is given.
struct FailureLog {
    private var latest: ContinuousClock.Instant?
    private var suppressedCount = 0
    private let window: Duration

    init(window: Duration) {
        self.window = window
    }

    /// Counts a failure; returns how many were left out since the last line when this one is to be logged.
    mutating func note(at now: ContinuousClock.Instant) -> Int? {
        if let latest, now - latest < window {
            suppressedCount += 1
            return nil
        }
        latest = now
        defer { suppressedCount = 0 }
        return suppressedCount
    }
}
