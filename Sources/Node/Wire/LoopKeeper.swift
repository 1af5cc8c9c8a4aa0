internal import Blocks
internal import NIOCore

/// What the connections of one event loop share: receive buffers, and the look at their deadlines.
///
/// Confined to its event loop; `@unchecked` so that the node can find it by loop.
final class LoopKeeper: @unchecked Sendable {
    let eventLoop: any EventLoop
    let pool = ReceiveBufferPool()
    /// Counts how long the requests of this loop take.
    let recorder: LatencyRecorder
    private let latencies: RequestLatencies
    private let clock: any CacheClock
    private var handlers: [ObjectIdentifier: ConnectionHandler] = [:]
    private var task: RepeatedTask?
    private var lastLook: UInt64 = 0

    /// Time between two looks.
    static let interval: TimeAmount = .milliseconds(250)

    init(eventLoop: any EventLoop, clock: any CacheClock, latencies: RequestLatencies) {
        self.latencies = latencies
        recorder = latencies.recorder()
        self.eventLoop = eventLoop
        self.clock = clock
    }

    /// Begins to look. Called on the event loop.
    func start() {
        lastLook = clock.monotonicNanoseconds()
        task = eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) {
            [weak self] _ in
            self?.look()
        }
    }

    /// Stops looking. Called on the event loop.
    func stop() {
        task?.cancel()
        task = nil
    }

    func add(_ handler: ConnectionHandler) {
        handlers[ObjectIdentifier(handler)] = handler
    }

    func remove(_ handler: ConnectionHandler) {
        handlers[ObjectIdentifier(handler)] = nil
    }

    /// Lets every connection finish what it is doing and closes it. Called on the event loop.
    func drain() {
        for handler in Array(handlers.values) { handler.drain() }
    }

    /// Closes every connection as it is. Called on the event loop.
    func closeAll() {
        for handler in Array(handlers.values) { handler.cut() }
    }

    private func look() {
        let now = clock.monotonicNanoseconds()
        let elapsed = Duration.nanoseconds(Int64(clamping: now &- lastLook))
        lastLook = now
        latencies.look(at: now)
        for handler in Array(handlers.values) { handler.look(after: elapsed) }
    }
}
