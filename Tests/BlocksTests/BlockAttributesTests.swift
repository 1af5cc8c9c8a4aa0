import Blocks
import Testing

@Suite("Block attributes")
struct BlockAttributesTests {
    @Test(
        "a block expires at its time, and one without a time never",
        arguments: [(0, false), (99, false), (100, true)]
    )
    func expiry(now: UInt64, isExpired: Bool) {
        #expect(BlockAttributes(createdAt: 0, expiresAt: 100).isExpired(at: now) == isExpired)
        #expect(!BlockAttributes(createdAt: 0).isExpired(at: .max))
    }
}

@Suite("Clock")
struct SystemClockTests {
    @Test("the machine's clocks advance, and today is after 2026 began")
    func advance() {
        let clock = SystemClock()
        let first = clock.monotonicNanoseconds()
        #expect(first > 0)
        #expect(clock.monotonicNanoseconds() >= first)
        #expect(clock.unixMilliseconds() > 1_767_225_600_000)
    }
}
