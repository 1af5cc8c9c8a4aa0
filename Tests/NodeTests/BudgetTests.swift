import Blocks
import TestSupport
import Testing
import Tiering

@testable import Node

@Suite("No connection owns a loop or the memory", .serialized)
struct BudgetTests {
    @Test("a turn ends after its bytes or its time, whichever is first")
    func turn() {
        var turn = TurnBudget(now: 100)
        #expect(!turn.isSpent(now: 100))
        turn.spend(byteCount: TurnBudget.byteCountMax - 1)
        #expect(!turn.isSpent(now: 100 + TurnBudget.nanosecondsMax - 1))
        #expect(turn.isSpent(now: 100 + TurnBudget.nanosecondsMax))
        turn.spend(byteCount: 1)
        #expect(turn.isSpent(now: 100))
    }

    @Test(
        "a tenant has its share of what is being received, a first payload always, and all of it when it is alone"
    )
    func shares() throws {
        let shares = ReceivingShares(byteCountMax: 100)
        let (a, b) = (try Tenant("a"), try Tenant("b"))
        #expect(shares.begin(150, of: a, isAlone: false))
        #expect(!shares.begin(1, of: a, isAlone: false))
        #expect(shares.begin(60, of: b, isAlone: false) && shares.begin(40, of: b, isAlone: false))
        #expect(!shares.begin(1, of: b, isAlone: false) && shares.begin(1, of: b, isAlone: true))
        #expect(shares.totalByteCount == 251)
        shares.end(150, of: a)
        #expect(shares.begin(90, of: a, isAlone: false))
    }

    @Test(
        "an MGET that its client does not read neither keeps others waiting nor holds more than a window of blocks"
    )
    func unreadReply() async throws {
        try await TestNode.with { configuration, _ in
            configuration.threadCount = 1
            configuration.limits.slowReaderTimeout = .seconds(60)
        } _: { node in
            let client = try node.connect()
            let value = SeededRandomBytes.make(4 << 20)
            for name in ["a", "b", "c"] {
                try client.request(bytes: ["SET", name].map { Array($0.utf8) } + [value])
                #expect(try client.receiveReply() == "+OK\r\n")
            }
            // 4 GB of replies on the node's only loop, and nobody takes them.
            let greedy = try node.connect()
            try greedy.request(bytes: [Array("MGET".utf8)] + (0..<1_000).map { [UInt8(97 + $0 % 3)] })
            for _ in 0..<50 { #expect(try client.ask("PING") == "+PONG\r\n") }
            #expect(try node.counters.sentBytes.value < 128 << 20)
            #expect(node.figure("memory_leased_bytes") <= ManyRead.windowByteCountMax + (8 << 20))
            // And when it is read, it is whole.
            var received = try greedy.receiveLine()
            #expect(received == "*1000\r\n")
            for index in 0..<20 {
                received = try greedy.receiveLine()
                #expect(received == "$\(value.count)\r\n")
                #expect(try greedy.receive(value.count) == value, "value \(index)")
                _ = try greedy.receive(2)
            }
            #expect(try node.counters.turnsEnded.value > 0)
        }
    }

    @Test("copied replies of all connections together stay within their budget, and arrive whole")
    func copiedReplies() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.replyByteCountMax = 1 << 20
            configuration.limits.slowReaderTimeout = .seconds(60)
        } _: { node in
            let client = try node.connect()
            let value = String(repeating: "v", count: 15_000)
            #expect(try client.ask("SET", "k", value) == "+OK\r\n")
            let readers = try (0..<20).map { _ in try node.connect() }
            for reader in readers {
                try reader.request(
                    bytes: [Array("MGET".utf8)] + Array(repeating: [UInt8(ascii: "k")], count: 2_000)
                )
            }
            #expect(try client.ask("PING") == "+PONG\r\n")
            let replies = try #require(node.node.services?.replies)
            for reader in readers.prefix(3) {
                #expect(try reader.receiveLine() == "*2000\r\n")
                for _ in 0..<2_000 {
                    #expect(try reader.receive(like: "$15000\r\n") == "$15000\r\n")
                    #expect(try reader.receive(value.utf8.count + 2).prefix(3) == [118, 118, 118])
                }
            }
            // Each may be over by what it gathers before it looks.
            #expect(replies.peakByteCount <= (1 << 20) + 20 * 128 << 10)
            #expect(replies.waitCount > 0)
        }
    }

    @Test("a pattern of SCAN and CONFIG GET has a bound")
    func patterns() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let long = String(repeating: "[a-z]", count: 400)
            #expect(try client.ask("SCAN", "0", "MATCH", long).hasPrefix("-ERR MATCH takes a pattern"))
            #expect(try client.ask("CONFIG", "GET", long).hasPrefix("-ERR CONFIG GET takes"))
            var words = ["CONFIG", "GET"].map { Array($0.utf8) }
            words += Array(repeating: [UInt8(ascii: "*")], count: 65)
            try client.request(bytes: words)
            #expect(try client.receiveReply().hasPrefix("-ERR CONFIG GET takes"))
            #expect(try client.ask("SET", "ab7", "v") == "+OK\r\n")
            #expect(try client.ask("SCAN", "0", "MATCH", "a[^c-z][5-9]", "COUNT", "100").contains("ab7"))
        }
    }
}
