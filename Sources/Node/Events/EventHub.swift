internal import KVEvents
internal import NIOCore
internal import Synchronization

/// One message as it goes out: topic, sequence number and payload as three frames.
struct EventMessage: Sendable {
    let topic: [UInt8]
    let frames: ByteBuffer
}

/// Numbers messages, keeps the last ones, and hands each to the event loops whose peers may want it.
final class EventHub: Sendable {
    let configuration: EventConfiguration
    let counters: EventCounters
    private let encoder: EventEncoder
    private let ring: Mutex<ReplayRing<EventMessage>>
    private let loops: [EventLoopPeers]

    /// What ends a repetition: the sequence number -1, between empty frames.
    static let endOfReplay = ByteBuffer(
        bytes: ZMTPFrame.message([[], [], [UInt8](repeating: 0xFF, count: 8), []])
    )
    /// The empty frame before each repeated message.
    static let delimiter: ByteBuffer = {
        var bytes: [UInt8] = []
        ZMTPFrame.append([], more: true, to: &bytes)
        return ByteBuffer(bytes: bytes)
    }()

    init(configuration: EventConfiguration, counters: EventCounters, eventLoops: [any EventLoop]) {
        self.configuration = configuration
        self.counters = counters
        encoder = EventEncoder(dialect: configuration.dialect, hashForm: configuration.hashForm)
        ring = Mutex(
            ReplayRing(
                countMax: configuration.replayCountMax,
                byteCountMax: configuration.replayByteCountMax
            )
        )
        loops = eventLoops.map { EventLoopPeers(eventLoop: $0, counters: counters) }
    }

    /// The peers of one event loop.
    func peers(on eventLoop: any EventLoop) -> EventLoopPeers? {
        loops.first { $0.eventLoop === eventLoop }
    }

    /// Encodes a message, keeps it and sends it. One thread at a time.
    func publish(topic: [UInt8], _ events: [KVEvent], seconds: Double) {
        let payload = encoder.encode(events, seconds: seconds)
        let message = ring.withLock { ring in
            let sequence = ring.nextSequence
            let number = (0..<8).map { UInt8(truncatingIfNeeded: sequence >> UInt64(8 * (7 - $0))) }
            let bytes = ZMTPFrame.message([topic, number, payload])
            let message = EventMessage(topic: topic, frames: ByteBuffer(bytes: bytes))
            ring.append(message, byteCount: bytes.count)
            return message
        }
        counters.messages.add()
        for loop in loops { loop.publish(message) }
    }

    /// The number that the next message gets.
    var nextSequence: UInt64 { ring.withLock { $0.nextSequence } }

    /// The first message that is kept from a number on and before another, with its number.
    func message(from sequence: UInt64, before end: UInt64) -> (sequence: UInt64, message: EventMessage)? {
        ring.withLock { ring in
            let first = max(sequence, ring.firstSequence)
            guard first < end, let message = ring[first] else { return nil }
            return (first, message)
        }
    }

    /// Closes all peers.
    func close() {
        for loop in loops { loop.eventLoop.execute { loop.closeAll() } }
    }
}

/// The peers whose connections one event loop runs.
///
/// Confined to the loop but for `publish`; `@unchecked` so that the publisher's thread can find it.
final class EventLoopPeers: @unchecked Sendable {
    let eventLoop: any EventLoop
    private let counters: EventCounters
    private var peers: [ObjectIdentifier: EventPeerHandler] = [:]
    private let subscriberCount = Atomic<Int>(0)
    /// Messages on their way to the loop.
    private let pendingCount = Atomic<Int>(0)

    /// Messages that may wait for the loop's attention; a loop that is so far behind loses more.
    private static let pendingCountMax = 4_096

    init(eventLoop: any EventLoop, counters: EventCounters) {
        self.eventLoop = eventLoop
        self.counters = counters
    }

    func add(_ peer: EventPeerHandler) {
        peers[ObjectIdentifier(peer)] = peer
    }

    /// Counts a peer among those to be published to.
    func subscribed() {
        subscriberCount.add(1, ordering: .sequentiallyConsistent)
    }

    func remove(_ peer: EventPeerHandler, isSubscriber: Bool) {
        peers[ObjectIdentifier(peer)] = nil
        if isSubscriber { subscriberCount.subtract(1, ordering: .sequentiallyConsistent) }
    }

    /// Offers a message to the subscribers; from any thread.
    func publish(_ message: EventMessage) {
        let count = subscriberCount.load(ordering: .sequentiallyConsistent)
        guard count > 0 else { return }
        guard pendingCount.add(1, ordering: .relaxed).newValue <= Self.pendingCountMax else {
            pendingCount.subtract(1, ordering: .relaxed)
            return counters.messagesDropped.add(count)
        }
        eventLoop.execute { [self] in
            pendingCount.subtract(1, ordering: .relaxed)
            for peer in Array(peers.values) { peer.offer(message) }
        }
    }

    func closeAll() {
        for peer in Array(peers.values) { peer.close() }
    }
}
