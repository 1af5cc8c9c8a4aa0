internal import Blocks
internal import TraceReplay

/// What a replay does: which requests, how large, how many at once, and when.
struct ReplayPlan: Sendable {
    /// The trace.
    let recorded: RecordedTrace
    /// Requests of it that are made, from the first on.
    let requestCount: Int
    /// Bytes of a block's payload.
    let blockByteCount: Int
    /// Most requests under way at once.
    let clientCount: Int
    /// How many times as fast as the trace requests come; `nil` when each client makes the next as soon as it can.
    let speed: Double?
    private let firstMilliseconds: Double

    /// Clients unless something else is said: one when they wait for each other, many when they come by the clock.
    static let clientCountClosed = 1
    static let clientCountOpen = 64
    /// Longest time in a trace, milliseconds: a thousand years.
    private static let millisecondsMax = 3.2e13

    /// - Parameter path: the trace's file, for messages.
    /// - Throws: `.noInput` with the line's number for a request that cannot be made.
    init(
        _ recorded: RecordedTrace,
        path: String,
        requestCountMax: Int?,
        blockByteCount: Int,
        clientCount: Int?,
        speed: Double?
    ) throws(CommandFailure) {
        self.recorded = recorded
        requestCount = min(requestCountMax ?? Int.max, recorded.trace.requestCount)
        self.blockByteCount = blockByteCount
        self.clientCount = clientCount ?? (speed == nil ? Self.clientCountClosed : Self.clientCountOpen)
        self.speed = speed
        firstMilliseconds = recorded.requests.first?.milliseconds ?? 0
        for (index, request) in recorded.requests.prefix(requestCount).enumerated() {
            guard recorded.trace.range(of: index).count <= Limits.batchKeyCountMax else {
                throw CommandFailure(
                    .noInput,
                    "\(path):\(request.line): more than \(Limits.batchKeyCountMax) blocks, which no match takes"
                )
            }
            guard speed != nil else { continue }
            guard let time = request.milliseconds, time.magnitude <= Self.millisecondsMax else {
                throw CommandFailure(
                    .noInput,
                    "\(path):\(request.line): no timestamp in milliseconds, which --speed needs"
                )
            }
        }
    }

    /// When a request is due after the start; `nil` when nobody waits.
    func delay(of request: Int) -> Duration? {
        guard let speed else { return nil }
        let milliseconds = (recorded.requests[request].milliseconds ?? 0) - firstMilliseconds
        // A year is longer than any run: what is due later never comes.
        return .seconds(min(max(0, milliseconds / 1_000 / speed), 31_536_000))
    }

    /// Blocks of the longest request.
    var chainCountMax: Int {
        (0..<requestCount).map { recorded.trace.range(of: $0).count }.max() ?? 0
    }

    /// What a cache that never evicts would have hit of some of the requests.
    func endlessResult(of requests: some Sequence<Int>) -> ReplayResult {
        let trace = recorded.trace.slice(requests)
        return OptimalReplay.run(trace, capacity: trace.uniqueBlockCount)
    }
}
