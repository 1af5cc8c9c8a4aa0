/// The requests whose blocks are being used or put right now: where the next block of each joins.
///
/// A fixed table; a request that is pushed out of it begins new runs, no more.
struct OpenRequests {
    /// One request.
    struct Entry {
        /// `nil` for none.
        var request: UInt32?
        /// The ends of its chain of runs; both or neither are there.
        var deepestRun: UInt32?
        var shallowestRun: UInt32?
        /// The least position of a block of this request that was evicted again since.
        var holePosition = UInt32.max
    }

    private static let count = 64
    private var entries = [Entry](repeating: Entry(), count: count)

    /// The request's entry; a new one takes the place of whichever was there.
    mutating func open(_ request: UInt32) -> Entry {
        let index = Self.index(request)
        if entries[index].request != request { entries[index] = Entry(request: request) }
        return entries[index]
    }

    /// Notes a run at one end of the request's chain.
    mutating func extend(_ request: UInt32, with run: UInt32, isDeeper: Bool) {
        let index = Self.index(request)
        guard entries[index].request == request else { return }
        if isDeeper || entries[index].deepestRun == nil { entries[index].deepestRun = run }
        if !isDeeper || entries[index].shallowestRun == nil { entries[index].shallowestRun = run }
    }

    /// Forgets a run that ended, given its neighbours.
    mutating func ended(_ run: UInt32, of request: UInt32, deeper: UInt32?, shallower: UInt32?) {
        let index = Self.index(request)
        guard entries[index].request == request else { return }
        if entries[index].deepestRun == run { entries[index].deepestRun = shallower }
        if entries[index].shallowestRun == run { entries[index].shallowestRun = deeper }
    }

    /// Notes that a block was evicted while its request is still open: what follows it in the chain is of no use.
    mutating func evicted(at position: UInt32, of request: UInt32) {
        let index = Self.index(request)
        guard entries[index].request == request else { return }
        entries[index].holePosition = min(position, entries[index].holePosition)
    }

    private static func index(_ request: UInt32) -> Int { Int(request % UInt32(count)) }
}
