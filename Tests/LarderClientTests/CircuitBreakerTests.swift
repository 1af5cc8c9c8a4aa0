import LarderClient
import Testing

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    private static let millisecond: UInt64 = 1_000_000
    private var policy: CircuitBreaker.Policy {
        var policy = CircuitBreaker.Policy()
        policy.failureCountMax = 3
        policy.backoffMin = .milliseconds(100)
        policy.backoffMax = .seconds(1)
        return policy
    }

    @Test("it opens at the last of the allowed failures in a row")
    func opensByCount() {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.failed, at: 0, jitter: 0)
        breaker.failed(.failed, at: 0, jitter: 0)
        #expect(breaker.admit(at: 0) == .pass)
        breaker.failed(.failed, at: 0, jitter: 0)
        #expect(breaker.admit(at: 1) == .refuse)
        #expect(breaker.openingCount == 1)
    }

    @Test("a success between failures starts the count again")
    func successResets() {
        var breaker = CircuitBreaker(policy: policy)
        for _ in 0..<5 {
            breaker.failed(.failed, at: 0, jitter: 0)
            breaker.failed(.failed, at: 0, jitter: 0)
            breaker.succeeded()
        }
        #expect(breaker.isClosed)
    }

    @Test("one silent timeout opens it")
    func silence() {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.silent, at: 0, jitter: 0)
        #expect(breaker.admit(at: 0) == .refuse)
    }

    @Test(
        "when the backoff is over one caller is told to probe, and none passes until the probe has succeeded"
    )
    func probe() {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.silent, at: 0, jitter: 0)
        #expect(breaker.admit(at: 100 * Self.millisecond - 1) == .refuse)
        #expect(breaker.admit(at: 100 * Self.millisecond) == .refuseAndProbe)
        #expect(breaker.admit(at: 500 * Self.millisecond) == .refuse)
        breaker.succeeded()
        #expect(breaker.admit(at: 500 * Self.millisecond) == .pass)
    }

    @Test("each failed probe doubles the backoff up to its limit, and a success forgets it")
    func backoff() {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.silent, at: 0, jitter: 0)
        var now: UInt64 = 0
        for milliseconds: UInt64 in [100, 200, 400, 800, 1_000, 1_000, 1_000] {
            #expect(breaker.admit(at: now + milliseconds * Self.millisecond - 1) == .refuse)
            now += milliseconds * Self.millisecond
            #expect(breaker.admit(at: now) == .refuseAndProbe)
            breaker.probeFailed(at: now, jitter: 0)
        }
        #expect(breaker.openingCount == 8)
        #expect(breaker.admit(at: now + 1_000 * Self.millisecond) == .refuseAndProbe)
        breaker.succeeded()
        breaker.failed(.silent, at: now, jitter: 0)
        #expect(breaker.admit(at: now + 100 * Self.millisecond) == .refuseAndProbe)
    }

    @Test(
        "jitter takes off up to half of the backoff",
        arguments: [(0.0, 100 as UInt64), (0.5, 75), (1, 50), (9, 50)]
    )
    func jitter(jitter: Double, milliseconds: UInt64) {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.silent, at: 0, jitter: jitter)
        #expect(breaker.admit(at: milliseconds * Self.millisecond - 1) == .refuse)
        #expect(breaker.admit(at: milliseconds * Self.millisecond) == .refuseAndProbe)
    }

    @Test("failures of calls that were under way when it opened change nothing")
    func stragglers() {
        var breaker = CircuitBreaker(policy: policy)
        breaker.failed(.silent, at: 0, jitter: 0)
        breaker.failed(.silent, at: 90 * Self.millisecond, jitter: 0)
        #expect(breaker.admit(at: 100 * Self.millisecond) == .refuseAndProbe)
        breaker.failed(.silent, at: 100 * Self.millisecond, jitter: 0)
        #expect(breaker.openingCount == 1)
        breaker.succeeded()
        #expect(breaker.isClosed)
    }
}
