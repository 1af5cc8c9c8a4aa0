internal import Blocks
internal import Placement
internal import Tiering

/// Second copies: pinned and hot blocks of a node's slots are kept by the node that would own them after it, too.
extension Cluster {
    /// Blocks of memory that one turn looks at for pins: a whole walk takes several.
    private static let walkCountMax = 65_536
    /// Matches that end in a prefix before it counts as hot.
    private static let hotHitCount = 8

    /// Gives pinned and hot blocks of this node's slots their second copies.
    func replicate(_ memory: inout ReplicaMemory) {
        let view = view
        guard memory.isDue(now: now, epoch: view.epoch) else { return }
        let unixNow = clock.unixMilliseconds()
        let ownName = own.name
        let routing = routing
        var candidates: [Candidate] = []
        func consider(_ space: KeySpace, _ key: [UInt8], hits: UInt32, pinnedUntil: UInt64) {
            let slot = unsafe Slot.of(key.span.bytes)
            guard view.owner(of: slot)?.name == ownName,
                memory.isNew(key, space, pinnedUntil: pinnedUntil)
            else { return }
            candidates.append(Candidate(space: space, key: key, hits: hits, pinnedUntil: pinnedUntil))
        }
        var remaining = Self.walkCountMax
        let spaces = describedSpaces
        while remaining > 0, let space = memory.space(among: spaces) {
            let step = min(remaining, 4_096)
            let next = store.surveyMemory(space, from: memory.cursor, count: step) { key, hits, summary, _ in
                let pinnedUntil = summary.attributes.pinnedUntil
                if pinnedUntil > unixNow { consider(space, key, hits: hits, pinnedUntil: pinnedUntil) }
            }
            remaining -= step
            if memory.advance(to: next, spaceCount: spaces.count) { break }
        }
        for space in spaces {
            for prefix in store.hottestPrefixes(space, limit: 64) where prefix.hits >= Self.hotHitCount {
                for key in prefix.keys {
                    consider(space, key, hits: UInt32(clamping: prefix.hits), pinnedUntil: 0)
                }
            }
        }
        guard !candidates.isEmpty else { return }
        let before = handover.progress
        let pass = send(candidates, .staysKept) { slot in
            view.ownerPlace(of: slot, rank: 1).flatMap { routing.peers[$0] }
        }
        counters.replicatedBlocks.add(handover.progress.givenBlockCount - before.givenBlockCount)
        if !pass.isDone { memory.forget() }
    }
}

/// Which blocks have their second copy, and where the walk over memory is.
///
/// What is remembered is forgotten after a minute, and with every change of the view: a copy that its node has evicted is
/// missed then, and given again. A pin that was renewed is another block to this.
struct ReplicaMemory {
    private var known: Set<Int> = []
    private var epoch: UInt64 = 0
    private var nextAt: UInt64 = 0
    private var forgetAt: UInt64 = 0
    private var spaceIndex = 0
    /// Where the walk over the present space goes on.
    private(set) var cursor: UInt64 = 0

    private static let pauseNanoseconds: UInt64 = 2_000_000_000
    private static let lifeNanoseconds: UInt64 = 60_000_000_000
    private static let knownCountMax = 1_048_576

    mutating func isDue(now: UInt64, epoch: UInt64) -> Bool {
        if epoch != self.epoch || now >= forgetAt {
            forget()
            forgetAt = now &+ Self.lifeNanoseconds
        }
        self.epoch = epoch
        guard now >= nextAt else { return false }
        nextAt = now &+ Self.pauseNanoseconds
        return true
    }

    mutating func isNew(_ key: [UInt8], _ space: KeySpace, pinnedUntil: UInt64) -> Bool {
        if known.count >= Self.knownCountMax { known.removeAll() }
        var hasher = Hasher()
        hasher.combine(space.prefix)
        hasher.combine(pinnedUntil)
        hasher.combine(key)
        return known.insert(hasher.finalize()).inserted
    }

    mutating func forget() { known.removeAll() }

    /// The space that the walk is in; `nil` when there are none.
    mutating func space(among spaces: [KeySpace]) -> KeySpace? {
        if spaceIndex >= spaces.count { (spaceIndex, cursor) = (0, 0) }
        return spaces.isEmpty ? nil : spaces[spaceIndex]
    }

    /// Goes on with the walk; returns whether it is through.
    mutating func advance(to next: UInt64, spaceCount: Int) -> Bool {
        cursor = next
        guard next == 0 else { return false }
        spaceIndex += 1
        guard spaceIndex >= spaceCount else { return false }
        spaceIndex = 0
        return true
    }
}
