internal import Tiering

/// What happened between this node and the others.
final class ClusterCounters: Sendable {
    /// Other nodes asked for deletions that this one missed.
    let catchUps = Counter()
    let viewChanges = Counter()
    let peersDown = Counter()
    let peersUp = Counter()
    let fetchedBlocks = Counter()
    let fetchFailures = Counter()
    let matchFailures = Counter()
    let giftFailures = Counter()
    let relayed = Counter()
    let relayFailures = Counter()
    let handedOverBlocks = Counter()
    let handedOverBytes = Counter()
    let replicatedBlocks = Counter()
}
