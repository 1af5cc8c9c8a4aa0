import Blocks
import Foundation
import KVEvents
import TestSupport
import Testing

@testable import Node

private let described = #"{"model":"tiny","dtype":"bfloat16","layout":"test","tokens_per_block":16}"#

private func hash(_ text: String) -> EventHash { EventHash(Array(text.utf8)) }

extension WireClient {
    fileprivate func describe(_ json: String = described) throws -> String {
        String(try ask("KV.DESCRIBE", json).split(separator: "\r\n")[1])
    }

    fileprivate func put(_ ns: String, _ key: String, _ payload: String, _ options: String...) throws
        -> String
    {
        let words = ["KV.PUT", ns] + options + ["BLOCKS", "1", key, payload]
        try request(bytes: words.map { Array($0.utf8) })
        return try receiveReply()
    }

    fileprivate func holds(_ ns: String, _ key: String) throws -> Bool {
        try ask("KV.MATCH", ns, "KEYS", "1", key).hasPrefix("*3\r\n:1\r\n")
    }
}

extension TestNode {
    fileprivate static func withEvents(
        _ change: @escaping (inout EventConfiguration) -> Void = { _ in },
        node: @escaping (inout NodeConfiguration, String) -> Void = { _, _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        try await TestNode.with { configuration, directory in
            var events = EventConfiguration(port: 0, podID: "pod")
            events.replayPort = 0
            change(&events)
            configuration.events = events
            node(&configuration, directory)
        } _: {
            try await body($0)
        }
    }

    fileprivate func subscriber(_ topic: String = "", receiveBufferByteCount: Int32? = nil) throws
        -> ZMTPClient
    {
        try ZMTPClient(
            subscribingTo: topic,
            port: addresses.eventsPort ?? 0,
            receiveBufferByteCount: receiveBufferByteCount
        )
    }

    fileprivate func events() throws -> EventCounters {
        guard let events = node.services?.events else { throw WireError(text: "no events") }
        return events.counters
    }
}

@Suite("KV events")
struct EventTests {
    @Test("a block is told of when it can be read, with its chain, its tokens and its topic")
    func stored() async throws {
        try await TestNode.withEvents { node in
            let router = RouterModel(try node.subscriber("kv@pod@tiny"))
            let client = try node.connect()
            let other = try node.connect()
            let ns = try client.describe()
            _ = try client.ask("KV.PUT", ns, "TOKENS", "256", "BLOCKS", "3", "a", "A", "b", "B", "c", "C")
            try router.read { $0.mediums[hash("a")] != nil }
            #expect(try other.holds(ns, "a"))
            try router.read { $0.mediums.count == 3 }
            #expect(router.mediums.values.allSatisfy { $0 == .memory })
            #expect(router.parents == [hash("b"): hash("a"), hash("c"): hash("b")])
            #expect(router.tokenCounts[hash("c")] == 256)
            // The rest of a chain that a match has shown, in requests of its own and with a block left out.
            #expect(
                try client.ask("KV.MATCH", ns, "KEYS", "6", "a", "b", "c", "d", "e", "f").hasPrefix(
                    "*3\r\n:3"
                )
            )
            _ = try client.put(ns, "d", "D")
            _ = try client.put(ns, "f", "F")
            _ = try client.put(ns, "z", "Z")
            try router.read { $0.mediums.count == 6 }
            #expect(router.parents[hash("d")] == hash("c") && router.parents[hash("f")] == hash("e"))
            #expect(router.parents[hash("z")] == nil && router.tokenCounts[hash("d")] == 16)
            #expect(router.topics == ["kv@pod@tiny"] && router.clearCount == 1 && router.contradictions == [])
        }
    }

    @Test("nothing is told of plain keys, of other namespaces' topics, or of what was there already")
    func silent() async throws {
        try await TestNode.withEvents { node in
            let all = RouterModel(try node.subscriber())
            let one = RouterModel(try node.subscriber("kv@pod@other"))
            let client = try node.connect()
            let ns = try client.describe()
            #expect(try client.put(ns, "a", "A").contains("stored"))
            try all.read { $0.mediums.count == 1 }
            let second = try client.describe(#"{"model":"other"}"#)
            _ = try client.ask("SET", "plain", "value")
            _ = try client.ask("DEL", "plain")
            #expect(try client.put(ns, "a", "A").contains("exists"))
            #expect(try client.put(ns, "a", "X").contains("conflict"))
            #expect(try client.put(second, "b", "B").contains("stored"))
            // A topic that is new needs no taking back, which some routers would take for the whole node's.
            try all.read { $0.mediums.count == 2 && $0.clearCount == 1 }
            try one.read { $0.mediums.count == 1 }
            #expect(all.mediums.keys.contains(hash("a")) && one.mediums == [hash("b"): .memory])
            #expect(all.topics == ["kv@pod@tiny", "kv@pod@other"] && one.topics == ["kv@pod@other"])
            #expect(all.gapCount == 0 && all.contradictions == [])
        }
    }

    @Test("what is deleted, cleared or evicted is taken back")
    func removed() async throws {
        try await TestNode.withEvents { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = try client.describe()
            let payload = String(repeating: "x", count: 1 << 20)
            for number in 0..<100 { #expect(try client.put(ns, "k\(number)", payload).contains("stored")) }
            #expect(try client.put(ns, "last", "L").contains("stored"))
            try router.read { $0.mediums[hash("last")] != nil }
            // 64 MiB hold at most 63 of them; what the events say is what a look finds.
            #expect(router.mediums.count <= 64 && router.mediums.count > 32)
            for number in 0..<100 {
                #expect(try client.holds(ns, "k\(number)") == (router.mediums[hash("k\(number)")] != nil))
            }
            _ = try client.ask("KV.DEL", ns, "KEYS", "1", "last")
            try router.read { $0.mediums[hash("last")] == nil }
            _ = try client.ask("KV.CLEAR", ns)
            try router.read { $0.mediums.isEmpty }
            #expect(try node.events().announcedNow.value == 0)
            #expect(router.contradictions == [] && router.gapCount == 0 && router.clearCount == 1)
        }
    }

    @Test("offload keys tell hash and group; digits tell bytes")
    func keys() async throws {
        try await TestNode.withEvents { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = Array(try client.describe().utf8)
            let digest = (0..<32).map { UInt8($0) }
            let upper = digest.map { $0 + 100 }
            let words = [Array("KV.PUT".utf8), ns, Array("BLOCKS".utf8), Array("2".utf8)]
            try client.request(
                bytes: words + [digest + [0, 0, 0, 3], [1], Array(Hexadecimal.text(of: upper).utf8), [2]]
            )
            #expect(try client.receiveReply() == "*2\r\n+stored\r\n+stored\r\n")
            try router.read { $0.mediums.count == 2 }
            #expect(
                router.mediums.keys.contains(EventHash(digest))
                    && router.mediums.keys.contains(EventHash(upper))
            )
            #expect(router.groups == [EventHash(digest): 3] && router.parents.isEmpty)
        }
    }

    @Test("the disk is a medium of its own: told when a block is durable, kept when memory lets go")
    func disk() async throws {
        try await TestNode.withEvents(
            node: { configuration, directory in
                configuration.dataDirectory = directory
                configuration.diskByteCount = 1 << 30
            },
            { node in
                let router = RouterModel(try node.subscriber())
                let client = try node.connect()
                let ns = try client.describe()
                #expect(try client.put(ns, "a", "A", "DURABLE").contains("stored"))
                try router.read { $0.mediums[hash("a")] == [.memory, .disk] }
                let payload = String(repeating: "x", count: 1 << 20)
                for number in 0..<80 {
                    #expect(try client.put(ns, "k\(number)", payload, "DURABLE").contains("stored"))
                }
                try router.read { $0.mediums[hash("a")] == .disk }
                #expect(try client.ask("KV.GET", ns, "KEYS", "1", "a") == "*1\r\n$1\r\nA\r\n")
                try router.read { $0.mediums[hash("a")] == [.memory, .disk] }
                _ = try client.ask("KV.CLEAR", ns)
                try router.read { $0.mediums.isEmpty }
                #expect(router.contradictions == [])
            }
        )
    }

    @Test("a new run voids what was told, and tells of what it finds on disk")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        let onDisk: @Sendable (inout NodeConfiguration, String) -> Void = { configuration, _ in
            configuration.dataDirectory = directory.path
            configuration.diskByteCount = 1 << 30
        }
        try await TestNode.withEvents(node: onDisk) { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = try client.describe()
            _ = try client.describe(#"{"model":"second"}"#)
            for number in 0..<600 { _ = try client.put(ns, "k\(number)", "payload \(number)") }
            try router.read { $0.mediums.count == 600 }
            await node.node.drainAndStop()
            // The last word of a run: nothing is held any more.
            try router.read { $0.clearCount == 3 }
            #expect(router.mediums.isEmpty)
        }
        try await TestNode.withEvents(node: onDisk) { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            _ = try client.describe()
            try router.read { $0.mediums.count == 600 }
            #expect(router.clearCount == 2 && router.topics == ["kv@pod@tiny", "kv@pod@second"])
            #expect(router.mediums.values.allSatisfy { $0 == .disk })
            #expect(router.tokenCounts.values.allSatisfy { $0 == 16 } && router.contradictions == [])
        }
    }

    @Test("puts and deletes of the same blocks by many end with what is held", arguments: [100_000, 8])
    func races(noteCountMax: Int) async throws {
        try await TestNode.withEvents { events in
            events.noteCountMax = noteCountMax
            events.surveyPause = .milliseconds(50)
        } _: { node in
            let router = RouterModel(try node.subscriber())
            let ns = try node.connect().describe()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<6 {
                    group.addTask {
                        var random = SeededRandom(seed: UInt64(worker))
                        let client = try node.connect()
                        for _ in 0..<60 {
                            // Pipelined, so that notes come faster than they are told.
                            var requests: [UInt8] = []
                            for _ in 0..<20 {
                                let key = "k\(Int.random(in: 0..<48, using: &random))"
                                let words =
                                    Bool.random(using: &random)
                                    ? ["KV.PUT", ns, "BLOCKS", "1", key, key]
                                    : ["KV.DEL", ns, "KEYS", "1", key]
                                requests += WireClient.encode(words.map { Array($0.utf8) })
                            }
                            try client.send(requests)
                            for _ in 0..<20 { _ = try client.receiveReply() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let client = try node.connect()
            var held: Set<EventHash> = []
            for number in 0..<48 where try client.holds(ns, "k\(number)") { held.insert(hash("k\(number)")) }
            if noteCountMax == 8 { #expect(try node.events().notesDropped.value > 0) }
            try router.read { Set($0.mediums.keys) == held }
            // Nothing comes after that says otherwise.
            _ = try client.put(ns, "sentinel", "S")
            try router.read { $0.mediums[hash("sentinel")] != nil }
            #expect(Set(router.mediums.keys) == held.union([hash("sentinel")]))
            #expect(router.contradictions == [] && router.gapCount == 0)
        }
    }

    @Test("more blocks than are kept in mind are not told of, and counted")
    func untold() async throws {
        try await TestNode.withEvents { events in
            events.announcedBlockCountMax = 3
        } _: { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = try client.describe()
            for key in ["a", "b", "c", "d"] { _ = try client.put(ns, key, "X") }
            try router.read { $0.mediums.count == 3 }
            try await eventually { try node.events().blocksUntold.value >= 1 }
            _ = try client.ask("KV.DEL", ns, "KEYS", "1", "a")
            try router.read { $0.mediums.count == 2 }
            _ = try client.put(ns, "e", "X")
            // There is room for one more: this one, or the one that was not told of, if a survey still finds that.
            try router.read { $0.mediums.count == 3 }
            #expect(router.contradictions == [])
        }
    }
}

@Suite("KV events' peers")
struct EventPeerTests {
    private static let endOfReplay: [[UInt8]] = [[], [], [UInt8](repeating: 0xFF, count: 8), []]

    private func request(_ sequence: UInt64, to client: ZMTPClient) throws -> [EventMessageSeen] {
        let number = (0..<8).map { UInt8(truncatingIfNeeded: sequence >> UInt64(8 * (7 - $0))) }
        try client.wire.send(ZMTPFrame.message([[], number]))
        var messages: [EventMessageSeen] = []
        while true {
            let parts = try client.receive()
            if parts == Self.endOfReplay { return messages }
            #expect(parts.first == [])
            messages.append(try EventMessageSeen(Array(parts.dropFirst())))
        }
    }

    @Test("messages are repeated from a number on, as far as they are kept", arguments: ["DEALER", "REQ"])
    func replay(type: String) async throws {
        try await TestNode.withEvents { events in
            events.replayCountMax = 10
        } _: { node in
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = try client.describe()
            for number in 0..<20 {
                _ = try client.put(ns, "k\(number)", "X")
                try router.read { $0.mediums.count == number + 1 }
            }
            let end = router.nextSequence ?? 0
            let repeater = try ZMTPClient(type, port: node.addresses.eventsReplayPort ?? 0)
            #expect(try request(end - 3, to: repeater).map(\.sequence) == Array(end - 3..<end))
            #expect(try request(0, to: repeater).map(\.sequence) == Array(end - 10..<end))
            #expect(try request(end, to: repeater).isEmpty && request(.max, to: repeater).isEmpty)
            // What is no request is no answer.
            try repeater.wire.send(ZMTPFrame.message([[0, 0]]) + ZMTPFrame.message([[], []]))
            #expect(try request(end - 1, to: repeater).first?.events.isEmpty == false)
            #expect(try node.events().messagesRepeated.value == 14)
        }
    }

    @Test("a subscriber that does not read loses messages; the others lose none")
    func slow() async throws {
        try await TestNode.withEvents { events in
            events.subscriberByteCountMax = 64 << 10
        } _: { node in
            let slow = try node.subscriber(receiveBufferByteCount: 4_096)
            let router = RouterModel(try node.subscriber())
            let client = try node.connect()
            let ns = try client.describe()
            let long = String(repeating: "k", count: 480)
            var number = 0
            while try node.events().messagesDropped.value == 0 {
                let keys = (0..<64).map { "\(long)\(number + $0)" }
                number += 64
                let words = ["KV.PUT", ns, "BLOCKS", "64"] + keys.flatMap { [$0, "X"] }
                try client.request(bytes: words.map { Array($0.utf8) })
                _ = try client.receiveReply()
                try router.read { $0.mediums[hash(keys[63])] != nil }
                if number.isMultiple(of: 4_096) { _ = try client.ask("KV.CLEAR", ns) }
            }
            _ = try client.put(ns, "last", "L")
            try router.read { $0.mediums[hash("last")] != nil }
            #expect(router.gapCount == 0 && router.contradictions == [])
            // The slow one sees by the numbers that something is missing.
            let behind = RouterModel(slow)
            _ = try client.put(ns, "later", "L")
            try behind.read { _ in
                _ = try client.put(ns, "later \(number)", "L")
                number += 1
                return behind.gapCount > 0
            }
        }
    }

    @Test("topics are asked for in both ways, and given back")
    func topics() async throws {
        try await TestNode.withEvents { node in
            let peer = try ZMTPClient("SUB", port: node.addresses.eventsPort ?? 0)
            try peer.wire.send(ZMTPFrame.message([[1] + Array("kv@pod@a".utf8)]))
            try peer.wire.send(ZMTPFrame.command("SUBSCRIBE", Array("kv@pod@b".utf8)))
            try peer.synchronize()
            let router = RouterModel(peer)
            let client = try node.connect()
            var spaces: [String: String] = [:]
            for name in ["a", "b", "c"] { spaces[name] = try client.describe(#"{"model":"\#(name)"}"#) }
            for name in ["c", "a", "b"] { _ = try client.put(spaces[name] ?? "", name, "X") }
            try router.read { $0.mediums.count == 2 }
            #expect(router.topics == ["kv@pod@a", "kv@pod@b"])
            try peer.wire.send(ZMTPFrame.message([[0] + Array("kv@pod@a".utf8)]))
            try peer.synchronize()
            _ = try client.put(spaces["a"] ?? "", "a2", "X")
            _ = try client.put(spaces["b"] ?? "", "b2", "X")
            try router.read { $0.mediums.count == 3 }
            #expect(router.mediums[hash("b2")] == .memory)
        }
    }

    @Test("what is no peer is cut, and harms nobody")
    func hostile() async throws {
        try await TestNode.withEvents { events in
            events.handshakeTimeout = .milliseconds(200)
            events.subscriptionCountMax = 4
        } _: { node in
            let port = node.addresses.eventsPort ?? 0
            let router = RouterModel(try node.subscriber())
            let http = try WireClient(port: port)
            try http.send("GET / HTTP/1.1\r\n\r\n")
            #expect(try http.countToEnd() == 64)
            // Says nothing: the handshake's time ends.
            #expect(try WireClient(port: port).countToEnd() == 64)
            #expect(throws: (any Error).self) { try ZMTPClient("REQ", port: port).synchronize() }
            let long = try ZMTPClient("SUB", port: port)
            try long.wire.send([2, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
            #expect(throws: (any Error).self) { try long.receive() }
            let greedy = try ZMTPClient("SUB", port: port)
            for number in 0..<5 { try greedy.wire.send(ZMTPFrame.command("SUBSCRIBE", [UInt8(number)])) }
            #expect(throws: (any Error).self) { try greedy.receive() }
            try await eventually {
                try node.events().peersCut.value == 5 && node.events().peersNow.value == 1
            }
            let client = try node.connect()
            _ = try client.put(client.describe(), "a", "A")
            try router.read { $0.mediums.count == 1 }
        }
    }

    @Test("a peer too many is closed, and counted")
    func peerCount() async throws {
        try await TestNode.withEvents { events in
            events.peerCountMax = 1
        } _: { node in
            let first = RouterModel(try node.subscriber())
            #expect(try WireClient(port: node.addresses.eventsPort ?? 0).countToEnd() == 0)
            #expect(try node.events().peersRefused.value == 1)
            let client = try node.connect()
            _ = try client.put(client.describe(), "a", "A")
            try first.read { $0.mediums.count == 1 }
            #expect(try client.ask("INFO", "stats").contains("events_peers_refused:1"))
            #expect(try client.ask("KV.STATS").contains("events_announced_blocks"))
        }
    }
}
