import Blocks

/// What is known beyond the index: blocks of the unit being written, and changes that the next unit's tail
/// records.
///
/// A pure value; the tier guards it with one lock, which is taken before a shard's.
struct WriteState {
    /// Blocks of the table being written, not yet visible.
    private(set) var openBlocks: [BlockIdentity: IndexEntry] = [:]
    private var tombstones: [BlockIdentity: BlockLocation] = [:]
    private var clears: [KeyPrefix: BlockLocation] = [:]
    /// Clears whose blocks are still being taken out of the index: the newest bound, and how many calls do that.
    private var runningClears: [KeyPrefix: (bound: BlockLocation, count: Int)] = [:]
    private var attributes: [BlockIdentity: Attributes] = [:]
    /// What the last unit's tail hid, repeated once in the next tail, so that one damaged tail brings nothing
    /// back.
    private var echoes: [TailRecord] = []
    /// The number of the table being written, or of the next one.
    private(set) var unit: UInt32
    private var isOpen = false
    /// The number of the next block in the table.
    private var nextBlock: UInt32 = 0

    fileprivate struct Attributes: Equatable {
        var location: BlockLocation
        var attributes: BlockAttributes
    }

    /// What a tail was written from; what is in it and unchanged is forgotten when the unit is durable.
    struct Snapshot {
        fileprivate var tombstones: [BlockIdentity: BlockLocation] = [:]
        fileprivate var clears: [KeyPrefix: BlockLocation] = [:]
        fileprivate var attributes: [BlockIdentity: Attributes] = [:]
        /// The records, in the order of the tail.
        var records: [TailRecord] = []
        /// Numbers of the blocks that are still wanted.
        var blockNumbers: Set<UInt32> = []
        /// Whether the tail deletes or clears anything.
        var hides: Bool { !tombstones.isEmpty || !clears.isEmpty }
    }

    init(nextUnit: UInt32, echoes: [TailRecord]) {
        unit = nextUnit
        self.echoes = echoes
    }

    /// Tombstones, clears and attribute changes that wait.
    var pendingRecordCount: Int { tombstones.count + clears.count + attributes.count }

    /// The place behind everything that was written or registered so far.
    var bound: BlockLocation { BlockLocation(unit: unit, number: isOpen ? nextBlock : 0) }

    // MARK: Changes

    /// Hides a block from now on.
    ///
    /// Whether there was one, in the index as `isIndexed` says or in the open table.
    mutating func invalidate(_ identity: BlockIdentity, isIndexed: Bool) -> Bool {
        let isOpen = openBlocks.removeValue(forKey: identity) != nil
        guard isIndexed || isOpen else { return false }
        tombstones[identity] = bound
        attributes[identity] = nil
        return true
    }

    /// Hides the block at `location`, and older ones of its key, but none that was written since.
    mutating func hide(_ identity: BlockIdentity, upTo location: BlockLocation) {
        let bound = BlockLocation(unit: location.unit, number: location.number &+ 1)
        tombstones[identity] = max(tombstones[identity] ?? bound, bound)
    }

    /// Hides a namespace from now on; `endClear` says that its blocks are out of the index.
    ///
    /// Gives how many blocks of the open table that concerns.
    mutating func clear(_ prefix: KeyPrefix) -> (hidden: Int, bound: BlockLocation) {
        let bound = bound
        clears[prefix] = bound
        runningClears[prefix] = (bound, (runningClears[prefix]?.count ?? 0) + 1)
        let hidden = openBlocks.keys.filter { $0.prefix == prefix }
        for identity in hidden { openBlocks[identity] = nil }
        attributes = attributes.filter { $0.key.prefix != prefix }
        return (hidden.count, bound)
    }

    /// The blocks that a clear hides are out of the index.
    mutating func endClear(_ prefix: KeyPrefix) {
        guard let running = runningClears[prefix] else { return }
        runningClears[prefix] = running.count > 1 ? (running.bound, running.count - 1) : nil
    }

    /// Whether a clear that is under way hides a block which is still in the index.
    ///
    /// Such a block must not be written again: its copy would lie behind the clear's bound.
    func isBeingCleared(_ entry: IndexEntry) -> Bool {
        runningClears[entry.identity.prefix].map { entry.location < $0.bound } ?? false
    }

    /// Forgets a clear that found nothing.
    mutating func withdrawClear(_ prefix: KeyPrefix, bound: BlockLocation) {
        if clears[prefix] == bound { clears[prefix] = nil }
    }

    /// Records new attributes of a block: of the open table's, if it has one, else of the indexed one.
    mutating func update(_ entry: IndexEntry) {
        var location = entry.location
        if var open = openBlocks[entry.identity] {
            open.attributes = entry.attributes
            openBlocks[entry.identity] = open
            location = open.location
        }
        attributes[entry.identity] = Attributes(location: location, attributes: entry.attributes)
    }

    /// Has the next tail repeat a record of a segment that goes before older ones do, unless no unit before
    /// `oldestUnit` is left for it to hide anything in.
    mutating func adopt(_ record: TailRecord, oldestUnit: UInt32) {
        switch record {
        case .block: break
        case .tombstone(_, let bound) where bound.unit < oldestUnit: break
        case .clear(_, let bound) where bound.unit < oldestUnit: break
        case .tombstone(let identity, let bound):
            tombstones[identity] = max(tombstones[identity] ?? bound, bound)
        case .clear(let prefix, let bound):
            clears[prefix] = max(clears[prefix] ?? bound, bound)
        case .attributes(let identity, let location, let changed):
            if attributes[identity] == nil {
                attributes[identity] = Attributes(location: location, attributes: changed)
            }
        }
    }

    // MARK: The table being written

    /// Opens a table.
    ///
    /// Gives its number.
    mutating func open() -> UInt32 {
        isOpen = true
        nextBlock = 0
        return unit
    }

    /// Registers a block of the open table before it is written, so that it can be invalidated at any time.
    mutating func register(_ header: BlockHeader) -> BlockLocation {
        let location = BlockLocation(unit: unit, number: nextBlock)
        nextBlock += 1
        openBlocks[header.identity] = IndexEntry(header: header, location: location)
        return location
    }

    /// Takes a block back whose writing failed.
    mutating func unregister(_ identity: BlockIdentity, at location: BlockLocation) {
        if openBlocks[identity]?.location == location { openBlocks[identity] = nil }
    }

    /// What the tail shall hold.
    func snapshot() -> Snapshot {
        var snapshot = Snapshot(tombstones: tombstones, clears: clears, attributes: attributes)
        snapshot.blockNumbers = Set(openBlocks.values.lazy.map(\.location.number))
        snapshot.records = tombstones.map { .tombstone(identity: $0.key, bound: $0.value) }
        snapshot.records += clears.map { .clear(prefix: $0.key, bound: $0.value) }
        snapshot.records += attributes.map {
            .attributes(identity: $0.key, location: $0.value.location, $0.value.attributes)
        }
        snapshot.records += echoes
        return snapshot
    }

    /// Takes up to `count` blocks of the durable table out, to be put into the index under the same lock.
    mutating func takeOpenBlocks(_ count: Int) -> [IndexEntry] {
        let batch = Array(openBlocks.values.prefix(count))
        if batch.count == openBlocks.count {
            openBlocks.removeAll()
        } else {
            for entry in batch { openBlocks[entry.identity] = nil }
        }
        return batch
    }

    /// The table is durable: what its tail says need not be said again, but once.
    mutating func close(_ written: Snapshot, replaced: [BlockIdentity]) {
        for (identity, bound) in written.tombstones where tombstones[identity] == bound {
            tombstones[identity] = nil
        }
        for (prefix, bound) in written.clears where clears[prefix] == bound { clears[prefix] = nil }
        for (identity, change) in written.attributes where attributes[identity] == change {
            attributes[identity] = nil
        }
        let unitStart = BlockLocation(unit: unit, number: 0)
        echoes = written.tombstones.map { .tombstone(identity: $0.key, bound: $0.value) }
        echoes += written.clears.map { .clear(prefix: $0.key, bound: $0.value) }
        echoes += replaced.map { .tombstone(identity: $0, bound: unitStart) }
        advance()
    }

    /// The table is given up.
    ///
    /// Its number is not used again: bounds may name it.
    mutating func abandon(indexedLocation: (BlockIdentity) -> BlockLocation?) {
        for identity in openBlocks.keys where attributes[identity]?.location.unit == unit {
            // The change was for the copy that is given up; the older one, if any, has it in the index.
            if let location = indexedLocation(identity) {
                attributes[identity]?.location = location
            } else {
                attributes[identity] = nil
            }
        }
        openBlocks.removeAll()
        advance()
    }

    private mutating func advance() {
        isOpen = false
        nextBlock = 0
        // Wraps around after 2^32 units, when none of the first ones is left.
        unit &+= 1
    }
}
