internal import Blocks
internal import Synchronization

/// The circuit breaker of one node, shared by its connections.
final class EndpointHealth: Sendable {
    let clock: any CacheClock
    private let breaker: Mutex<CircuitBreaker>
    private let counters: ClientCounters

    init(policy: CircuitBreaker.Policy, clock: any CacheClock, counters: ClientCounters) {
        self.clock = clock
        self.counters = counters
        breaker = Mutex(CircuitBreaker(policy: policy))
    }

    func admit() -> CircuitBreaker.Admission {
        breaker.withLock { $0.admit(at: clock.monotonicNanoseconds()) }
    }

    func succeeded() {
        breaker.withLock { $0.succeeded() }
    }

    func failed(_ failure: CircuitBreaker.Failure) {
        change { breaker, now, jitter in breaker.failed(failure, at: now, jitter: jitter) }
    }

    func probeFailed() {
        change { breaker, now, jitter in breaker.probeFailed(at: now, jitter: jitter) }
    }

    private func change(_ body: (inout CircuitBreaker, UInt64, Double) -> Void) {
        let now = clock.monotonicNanoseconds()
        let jitter = Double.random(in: 0...1)
        let isOpening = breaker.withLock { breaker in
            let openings = breaker.openingCount
            body(&breaker, now, jitter)
            return breaker.openingCount != openings
        }
        if isOpening { counters.count { $0.openingCount += 1 } }
    }
}
