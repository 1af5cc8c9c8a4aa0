internal import MemoryTier
internal import Synchronization

/// The blocks of one request in the order of its keys: taken as far as they have arrived. Confined to one event loop.
final class ReadQueue {
    /// For each key its block or that there is none, and nothing while it is awaited.
    private var leases: ArraySlice<BlockLease??>

    init(_ leases: [BlockLease??]) {
        self.leases = leases[...]
    }

    /// Whether all have been taken.
    var isEmpty: Bool { leases.isEmpty }

    /// The next block, or that there is none; nothing when it is awaited, or all have been taken.
    func next() -> BlockLease?? {
        guard let first = leases.first, let arrived = first else { return nil }
        leases.removeFirst()
        return .some(arrived)
    }

    /// Notes what has arrived for keys, by their places.
    func take(_ arrivals: [(place: Int, lease: BlockLease?)]) {
        for (place, lease) in arrivals where leases.indices.contains(place) { leases[place] = .some(lease) }
    }
}

/// Blocks on their way from the threads that bring them to the event loop that waits for them.
final class ReadArrivals: Sendable {
    private struct State {
        var arrived: [(place: Int, lease: BlockLease?)] = []
        var waiter: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// A key's block is there, or will not be.
    func arrived(_ place: Int, _ lease: BlockLease?) {
        let waiter = state.withLock { state in
            state.arrived.append((place, lease))
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?()
    }

    /// What has arrived since the last call.
    func takeAll() -> [(place: Int, lease: BlockLease?)] {
        state.withLock { state in
            defer { state.arrived = [] }
            return state.arrived
        }
    }

    /// Calls `resume` once, when something has arrived that was not taken; at once if it is there.
    func whenMore(_ resume: @escaping @Sendable () -> Void) {
        let isThere = state.withLock { state in
            guard state.arrived.isEmpty else { return true }
            state.waiter = resume
            return false
        }
        if isThere { resume() }
    }
}
