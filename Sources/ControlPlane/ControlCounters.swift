internal import Synchronization

/// What the control plane counts of the bounds that it enforces.
package final class ControlCounters: Sendable {
    /// What a bound did.
    package enum Event: String, CaseIterable, Sendable {
        /// A connection was refused: all places are taken by users.
        case connectionsRefused = "control_connections_refused"
        /// A stranger's connection was closed to make room for another one.
        case connectionsReplaced = "control_connections_replaced"
        /// A connection was closed because no call came on it in time.
        case connectionsWithoutCall = "control_connections_without_call"
        /// A connection was closed after too many wrong passwords.
        case connectionsFailed = "control_connections_failed"
        /// A connection was not read from because its sender is not known and has sent enough.
        case strangersPaused = "control_strangers_paused"
        /// A call was refused because of the calls of its user or of all.
        case callsRefused = "control_calls_refused"
        /// A call was ended because its time was over.
        case callsTimedOut = "control_calls_timed_out"
        /// A call whose password was not checked yet was ended to make room for another one.
        case authenticationsReplaced = "control_authentications_replaced"
        /// A password was wrong.
        case authenticationFailures = "control_authentication_failures"
        /// A health check was ended to make room for another one.
        case healthChecksReplaced = "control_health_checks_replaced"
        /// A health watch was refused.
        case healthWatchesRefused = "control_health_watches_refused"
    }

    private let counts = Mutex<[Event: Int]>([:])

    /// Nothing counted.
    package init() {}

    /// How often something happened.
    package func count(of event: Event) -> Int { counts.withLock { $0[event] ?? 0 } }

    /// All figures by name, in a stable order.
    package var fields: [(name: String, value: Int)] {
        let counts = counts.withLock { $0 }
        return Event.allCases.map { ($0.rawValue, counts[$0] ?? 0) }
    }

    func add(_ event: Event) {
        counts.withLock { $0[event, default: 0] += 1 }
    }
}
