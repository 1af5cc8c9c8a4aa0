internal import Blocks
internal import Synchronization
internal import Tiering

/// The queue between those who change blocks and the thread that tells of it: bounded, and never waited for.
///
/// A note that finds the queue full is dropped. Nothing is lost by that for good: `Batch.isIncomplete` says that it
/// happened, and who has that compares everything with the store anew.
final class EventNotes: BlockWatcher {
    /// What may have changed.
    enum Note: Sendable {
        case arrived(BlockIdentity, key: [UInt8], predecessor: [UInt8]?)
        case changed(BlockIdentity)
    }

    /// What was noted since the last time.
    struct Batch: Sendable {
        /// Namespaces that are in use for the first time.
        var spaces: [KeySpace] = []
        var notes: [Note] = []
        /// Whether notes were dropped.
        var isIncomplete = false
    }

    private struct State {
        var watched: Set<KeyPrefix> = []
        var batch = Batch()
    }

    /// Notes that are added under one hold of the lock.
    private static let addedAtOnceCount = 256

    private let state = Mutex(State())
    private let countMax: Int
    private let counters: EventCounters
    /// Rung when there is something to take.
    let bell = Doorbell()

    init(countMax: Int, counters: EventCounters) {
        self.countMax = max(1, countMax)
        self.counters = counters
    }

    func opened(_ space: KeySpace) {
        guard space.description != nil else { return }
        let isNew = state.withLock { state in
            guard state.watched.insert(space.prefix).inserted else { return false }
            state.batch.spaces.append(space)
            return true
        }
        if isNew { bell.ring() }
    }

    func arrived(_ identity: BlockIdentity, key: [UInt8], after predecessor: [UInt8]?) {
        add(CollectionOfOne(identity)) { .arrived($0, key: key, predecessor: predecessor) }
    }

    func changed(_ identities: [BlockIdentity]) {
        // A written unit has tens of thousands: nobody is to wait that long for the lock.
        for start in stride(from: 0, to: identities.count, by: Self.addedAtOnceCount) {
            add(identities[start..<min(start + Self.addedAtOnceCount, identities.count)]) { .changed($0) }
        }
    }

    /// Takes everything out.
    func take() -> Batch {
        state.withLock { state in
            defer { state.batch = Batch() }
            return state.batch
        }
    }

    private func add(_ identities: some Collection<BlockIdentity>, _ note: (BlockIdentity) -> Note) {
        let (isFirst, dropped) = state.withLock { state in
            let before = state.batch.notes.count
            var dropped = 0
            for identity in identities where state.watched.contains(identity.prefix) {
                if state.batch.notes.count < countMax {
                    state.batch.notes.append(note(identity))
                } else {
                    dropped += 1
                }
            }
            if dropped > 0 { state.batch.isIncomplete = true }
            return (before == 0 && !state.batch.notes.isEmpty, dropped)
        }
        if dropped > 0 { counters.notesDropped.add(dropped) }
        if isFirst { bell.ring() }
    }
}
