internal import Synchronization

/// One counter that any thread may add to.
package struct Counter: ~Copyable, Sendable {
    private let atomic = Atomic<Int>(0)

    /// Zero.
    package init() {}

    /// Adds.
    package borrowing func add(_ amount: Int = 1) {
        atomic.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The value now.
    package var value: Int { atomic.load(ordering: .relaxed) }
}

/// What happened in one key space.
final class SpaceCounters: Sendable {
    let puts = Counter()
    let putBytes = Counter()
    let memoryHits = Counter()
    let diskHits = Counter()
    let peerHits = Counter()
    let misses = Counter()
    let hitBytes = Counter()
    let matchQueries = Counter()
    let matchedBlocks = Counter()
    let matchedTokens = Counter()
    let queriedBlocks = Counter()
}
