internal import Synchronization

/// A bounded number of slots in which a newcomer always finds room: when all are taken, the party with the most slots
/// loses its oldest one.
final class ReplaceableSlots: Sendable {
    private struct Entry {
        let id: UInt64
        let party: String
        let replaced: AsyncStream<Void>.Continuation
    }

    private struct State {
        /// The oldest first.
        var entries: [Entry] = []
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = max(1, countMax)
    }

    /// Slots taken.
    var count: Int { state.withLock { $0.entries.count } }

    /// Takes a slot for a party; `replacing` is called when another slot was lost for it.
    func take(_ party: String, replacing: () -> Void) -> ReplaceableSlot {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let (id, lost) = state.withLock { state in
            let lost = state.entries.count < countMax ? nil : Self.removeLoser(&state.entries)
            state.nextID &+= 1
            state.entries.append(Entry(id: state.nextID, party: party, replaced: continuation))
            return (state.nextID, lost)
        }
        if let lost {
            lost.replaced.yield()
            replacing()
        }
        return ReplaceableSlot(self, id, stream)
    }

    fileprivate func giveBack(_ id: UInt64) {
        state.withLock { state in
            if let index = state.entries.firstIndex(where: { $0.id == id }) {
                state.entries.remove(at: index)
            }
        }
    }

    private static func removeLoser(_ entries: inout [Entry]) -> Entry? {
        var counts: [String: Int] = [:]
        for entry in entries { counts[entry.party, default: 0] += 1 }
        let most = counts.values.max() ?? 0
        guard let index = entries.firstIndex(where: { counts[$0.party] == most }) else { return nil }
        return entries.remove(at: index)
    }
}

/// A slot, until it goes or is replaced.
final class ReplaceableSlot: Sendable {
    private let slots: ReplaceableSlots
    private let id: UInt64
    private let replaced: AsyncStream<Void>

    fileprivate init(_ slots: ReplaceableSlots, _ id: UInt64, _ replaced: AsyncStream<Void>) {
        self.slots = slots
        self.id = id
        self.replaced = replaced
    }

    deinit { slots.giveBack(id) }

    /// Waits until the slot was lost to a newcomer; one party at a time may wait. Throws when the task is cancelled.
    func isReplaced() async throws {
        for await _ in replaced { return }
        throw CancellationError()
    }
}
