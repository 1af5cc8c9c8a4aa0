/// Gathers the events of one topic for a batch, and joins those that can be one: blocks of one chain, and blocks that
/// left the same medium.
///
/// A full cache stores and removes by turns, so events are joined across those that came between. That changes the
/// order of events, but never for the same block on the same medium: when one comes again, nothing is joined across it.
package struct EventCollector: Sendable {
    private struct Touch: Hashable {
        let block: EventBlock
        let medium: EventMediums
    }

    /// The events so far.
    package private(set) var events: [KVEvent] = []
    private var touched: Set<Touch> = []
    /// The last event of each kind that may still grow, by medium.
    private var openStored: [EventMediums: Int] = [:]
    private var openRemoved: [EventMediums: Int] = [:]

    /// Hashes in one event, so that no message grows without bound.
    package static let hashCountMax = 1_024

    /// Starts empty.
    package init() {}

    /// Says that nothing announced before counts.
    package mutating func clear() {
        closeAll()
        events.append(.allCleared)
    }

    /// Adds a block that became readable on a single medium.
    package mutating func store(
        _ block: EventBlock,
        parent: EventHash?,
        tokenCount: Int,
        on medium: EventMediums
    ) {
        touch(block, medium)
        if let parent, let index = openStored[medium], case .stored(var last) = events[index],
            last.hashes.last == parent, last.group == block.group, last.tokenCount == tokenCount,
            last.hashes.count < Self.hashCountMax
        {
            // Out of the list while it grows, so that it is not copied for each block.
            events[index] = .allCleared
            last.hashes.append(block.hash)
            events[index] = .stored(last)
            return
        }
        openStored[medium] = events.count
        events.append(
            .stored(
                KVEvent.Stored(
                    hashes: [block.hash],
                    parent: parent,
                    tokenCount: tokenCount,
                    medium: medium,
                    group: block.group
                )
            )
        )
    }

    /// Adds a block that left a single medium.
    package mutating func remove(_ block: EventBlock, from medium: EventMediums) {
        touch(block, medium)
        if let index = openRemoved[medium], case .removed(var last) = events[index],
            last.group == block.group, last.hashes.count < Self.hashCountMax
        {
            events[index] = .allCleared
            last.hashes.append(block.hash)
            events[index] = .removed(last)
            return
        }
        openRemoved[medium] = events.count
        events.append(.removed(KVEvent.Removed(hashes: [block.hash], medium: medium, group: block.group)))
    }

    /// Takes the events out.
    package mutating func take() -> [KVEvent] {
        defer {
            events = []
            closeAll()
        }
        return events
    }

    private mutating func touch(_ block: EventBlock, _ medium: EventMediums) {
        guard !touched.insert(Touch(block: block, medium: medium)).inserted else { return }
        closeAll()
        touched.insert(Touch(block: block, medium: medium))
    }

    private mutating func closeAll() {
        touched.removeAll(keepingCapacity: true)
        openStored = [:]
        openRemoved = [:]
    }
}
