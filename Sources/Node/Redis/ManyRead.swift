internal import Blocks
internal import MemoryTier
internal import Tiering

/// The blocks of one request, read window by window: what is not to be sent yet is not leased either, so that a client that
/// does not take its replies holds the blocks of one window at most. Confined to one event loop.
final class ManyRead {
    /// Keys, and payload bytes in memory, of one window.
    static let windowKeyCountMax = 256
    static let windowByteCountMax = 32 << 20

    let space: KeySpace
    let body: (RedisConnection, BlockLease?) -> Void
    private var rest: ArraySlice<Int>
    /// Arguments to read; the others are `nil` in their places. `nil` for all.
    private let wanted: Set<Int>?
    private(set) var queue = ReadQueue([])
    private(set) var arrivals: ReadArrivals?

    init(
        _ indices: Range<Int>,
        among wanted: [Int]?,
        in space: KeySpace,
        _ body: @escaping (RedisConnection, BlockLease?) -> Void
    ) {
        rest = Array(indices)[...]
        self.wanted = wanted.map(Set.init)
        self.space = space
        self.body = body
    }

    /// Whether all keys have been gone on with.
    var isFinished: Bool { rest.isEmpty && queue.isEmpty }

    /// Looks up the keys of the next window and begins to load those that are not in memory; false when there are none.
    func beginWindow(_ connection: RedisConnection) -> Bool {
        guard !rest.isEmpty else { return false }
        var leases: [BlockLease??] = []
        var places: [Int] = []
        var indices: [Int] = []
        var byteCount = 0
        while let index = rest.first, leases.count < Self.windowKeyCountMax,
            byteCount < Self.windowByteCountMax
        {
            rest.removeFirst()
            guard wanted?.contains(index) ?? true, connection.arguments.isKey(at: index) else {
                leases.append(.some(nil))
                continue
            }
            let key = connection.arguments.key(at: index)
            switch connection.store.lookup(space, key: key, provesChecksum: false) {
            case .memory(let lease):
                byteCount += lease.payloadByteCount
                leases.append(lease)
            case .stored:
                places.append(leases.count)
                indices.append(index)
                leases.append(.none)
            case .absent: leases.append(.some(nil))
            }
        }
        queue = ReadQueue(leases)
        arrivals = nil
        guard !places.isEmpty else { return true }
        let arrivals = ReadArrivals()
        self.arrivals = arrivals
        let awaited = places
        connection.store.load(space, keys: connection.arguments.keys(at: indices)) { index, lease in
            arrivals.arrived(awaited[index], lease)
        }
        return true
    }

    /// The next block, or that there is none; nothing when it is awaited, or the window is empty.
    func next() -> BlockLease?? {
        if let arrivals { queue.take(arrivals.takeAll()) }
        return queue.next()
    }
}
