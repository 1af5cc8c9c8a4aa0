import KVEvents
import TestSupport
import Testing

/// What a whole input leads to, however it is cut.
private func events(
    _ role: ZMTPSession.Role,
    _ bytes: [UInt8],
    cuts: [Int] = []
) -> (events: [ZMTPSession.Event], error: String?) {
    var session = ZMTPSession(role: role)
    var seen: [ZMTPSession.Event] = []
    var start = 0
    for end in cuts + [bytes.count] {
        session.receive(bytes[start..<end])
        start = end
        do {
            while let event = try session.next() { seen.append(event) }
        } catch {
            return (seen, error.message)
        }
    }
    return (seen, nil)
}

private func ready(_ type: String) -> [UInt8] {
    ZMTPFrame.command(
        "READY",
        ZMTPFrame.property("Socket-Type", Array(type.utf8)) + ZMTPFrame.property("Identity", [])
    )
}

@Suite("ZMTP peers are understood")
struct ZMTPSessionTests {
    private static let ourReady = ZMTPSession.Event.send(
        ZMTPFrame.command("READY", ZMTPFrame.property("Socket-Type", Array("PUB".utf8)))
    )

    /// A subscriber's whole life: both ways to subscribe, a heartbeat, a message that a PUB socket drops.
    private static let subscriber: [UInt8] =
        ZMTPFrame.greeting + ready("SUB") + ZMTPFrame.message([[1] + Array("kv@".utf8)])
        + ZMTPFrame.command("SUBSCRIBE", Array("other".utf8)) + ZMTPFrame.command("SUBSCRIBE")
        + ZMTPFrame.command("PING", [0, 10] + Array("context".utf8)) + ZMTPFrame.command("PONG")
        + ZMTPFrame.message([[2, 3]]) + ZMTPFrame.message([[1, 65], [1, 66]])
        + ZMTPFrame.message([[0] + Array("kv@".utf8)]) + ZMTPFrame.command("CANCEL", Array("other".utf8))
        + ZMTPFrame.message([[1] + [UInt8](repeating: 65, count: 300)])

    private static let subscriberEvents: [ZMTPSession.Event] = [
        ourReady, .ready, .subscribe(Array("kv@".utf8)), .subscribe(Array("other".utf8)), .subscribe([]),
        .send(ZMTPFrame.command("PONG", Array("context".utf8))), .cancel(Array("kv@".utf8)),
        .cancel(Array("other".utf8)), .subscribe([UInt8](repeating: 65, count: 300)),
    ]

    @Test("subscriptions, as messages and as commands")
    func subscriptions() {
        let (seen, error) = events(.publisher, Self.subscriber)
        #expect(seen == Self.subscriberEvents && error == nil)
    }

    @Test("wherever the bytes are cut")
    func cuts() {
        let count = Self.subscriber.count
        for cut in 0...count {
            #expect(
                events(.publisher, Self.subscriber, cuts: [cut]).events == Self.subscriberEvents,
                "\(cut)"
            )
        }
        #expect(events(.publisher, Self.subscriber, cuts: Array(1..<count)).events == Self.subscriberEvents)
    }

    @Test("a greeting says what the standard says")
    func greeting() {
        let greeting = ZMTPFrame.greeting
        #expect(greeting.count == 64 && greeting[0] == 0xFF && greeting[9] == 0x7F)
        #expect(Array(greeting[10..<12]) == [3, 1] && Array(greeting[12..<17]) == Array("NULL".utf8) + [0])
        #expect(greeting[17...].allSatisfy { $0 == 0 })
    }

    @Test("requests reach a router as their frames", arguments: ["REQ", "DEALER", "ROUTER"])
    func requests(type: String) {
        let bytes = ZMTPFrame.greeting + ready(type) + ZMTPFrame.message([[], [0, 0, 0, 0, 0, 0, 0, 7]])
        let (seen, error) = events(.router, bytes)
        #expect(seen.dropFirst() == [.ready, .message([[], [0, 0, 0, 0, 0, 0, 0, 7]])] && error == nil)
    }

    @Test("what is no ZMTP 3 peer of ours is refused, at the first byte that shows it")
    func refused() {
        let greeting = ZMTPFrame.greeting
        #expect(events(.publisher, Array("GET".utf8)).error == "not a ZMTP signature")
        #expect(events(.publisher, Array(greeting[..<9]) + [0]).error == "not a ZMTP signature")
        #expect(events(.publisher, Array(greeting[..<10]) + [1]).error == "ZMTP 1 is too old")
        var plain = greeting
        plain.replaceSubrange(12..<17, with: Array("PLAIN".utf8))
        #expect(events(.publisher, plain).error == "the mechanism must be NULL")
        #expect(events(.publisher, greeting + ready("REQ")).error == "a PUB socket takes SUB, XSUB")
        #expect(events(.router, greeting + ready("SUB")).error == "a ROUTER socket takes REQ, DEALER, ROUTER")
        #expect(events(.publisher, greeting + ZMTPFrame.command("READY")).error != nil)
        #expect(events(.publisher, greeting + ZMTPFrame.message([[1]])).error == "a message before READY")
        #expect(
            events(.publisher, greeting + ZMTPFrame.command("PING", [0, 0])).error == "PING before READY"
        )
        #expect(events(.publisher, greeting + ready("SUB") + ready("SUB")).error == nil)
    }

    @Test(
        "lengths that are too long are refused before their bytes are waited for",
        arguments: [
            [2, 0, 0, 0, 0, 0, 0, 0x10, 1], [2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            [6, 0x80, 0, 0, 0, 0, 0, 0, 0], [3, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ] as [[UInt8]]
    )
    func longFrames(_ head: [UInt8]) {
        let start = ZMTPFrame.greeting + ready("SUB")
        #expect(events(.publisher, start + head).error?.contains("a frame of") == true)
        #expect(events(.publisher, ZMTPFrame.greeting + head).error?.contains("a frame of") == true)
    }

    @Test("broken frames are refused")
    func brokenFrames() {
        let start = ZMTPFrame.greeting + ready("SUB")
        #expect(events(.publisher, start + [8, 0]).error == "reserved flags are set")
        #expect(events(.publisher, start + [5, 0]).error == "a command is one frame")
        #expect(events(.publisher, start + [4, 0]).error == "a command without a name")
        #expect(events(.publisher, start + [4, 1, 0]).error == "a command without a name")
        #expect(events(.publisher, start + [4, 2, 2, 65]).error == "a command without a name")
        #expect(events(.publisher, start + ZMTPFrame.command("PING", [0])).error == "a PING of 1 bytes")
        #expect(events(.publisher, start + ZMTPFrame.command("ERROR", [0])).error == "the peer gave up")
        let frames = [[UInt8]](repeating: [1], count: 9)
        #expect(events(.publisher, start + ZMTPFrame.message(frames)).error == "a message of too many frames")
        let metadata: [[UInt8]] = [
            [0], [1], [1, 65, 0, 0, 0], [1, 65, 0xFF, 0xFF, 0xFF, 0xFF], [9, 65, 0, 0, 0, 0],
        ]
        for data in metadata {
            let error = events(.publisher, ZMTPFrame.greeting + ZMTPFrame.command("READY", data)).error
            #expect(error == "READY is cut short", "\(data)")
        }
    }

    @Test("no bytes at all bring it down", arguments: 0..<4)
    func noise(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            var bytes = Self.subscriber
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255,
                    using: &random
                )
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            let cut = Int.random(in: 0...bytes.count, using: &random)
            let whole = events(.publisher, bytes)
            let parts = events(.publisher, bytes, cuts: [cut])
            #expect(whole.events == parts.events && whole.error == parts.error)
        }
    }
}
