import Testing

@testable import Node

@Suite("KV verbs")
struct BlockVerbTests {
    private static let description =
        #"{"model":"tiny","dtype":"bfloat16","layout":"test","tokens_per_block":16}"#

    private func describe(_ client: WireClient) throws -> String {
        let reply = try client.ask("KV.DESCRIBE", Self.description)
        let namespace = String(reply.split(separator: "\r\n")[1])
        #expect(reply == "$64\r\n\(namespace)\r\n")
        return namespace
    }

    @Test("put, match, get and delete blocks")
    func blocks() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try describe(client)
            #expect(
                try client.ask("KV.PUT", ns, "TOKENS", "16", "BLOCKS", "2", "a", "A", "b", "B")
                    == "*2\r\n+stored\r\n+stored\r\n"
            )
            #expect(try client.ask("KV.PUT", ns, "BLOCKS", "1", "a", "A") == "*1\r\n+exists\r\n")
            #expect(
                try client.ask("KV.PUT", ns, "BLOCKS", "1", "a", "X").hasPrefix("*1\r\n+refused conflict")
            )
            #expect(
                try client.ask("KV.MATCH", ns, "KEYS", "4", "a", "b", "c", "a")
                    == "*3\r\n:2\r\n$-1\r\n*2\r\n+memory\r\n:2\r\n"
            )
            #expect(
                try client.ask("KV.GET", ns, "KEYS", "3", "a", "none", "b")
                    == "*3\r\n$1\r\nA\r\n$-1\r\n$1\r\nB\r\n"
            )
            #expect(try client.ask("KV.PIN", ns, "KEYS", "2", "a", "none") == "*2\r\n:1\r\n:0\r\n")
            #expect(try client.ask("KV.UNPIN", ns, "KEYS", "1", "a") == "*1\r\n:1\r\n")
            #expect(try client.ask("KV.DEL", ns, "KEYS", "2", "a", "none") == ":1\r\n")
            #expect(try client.ask("KV.EXPLAIN", ns, "KEYS", "1", "a").contains("deleted"))
            #expect(try client.ask("KV.PREFETCH", ns, "KEYS", "1", "b") == ":0\r\n")
            #expect(try client.ask("KV.CLEAR", ns) == ":1\r\n")
            #expect(try client.ask("KV.MATCH", ns, "KEYS", "1", "b") == "*3\r\n:0\r\n$-1\r\n*0\r\n")
        }
    }

    @Test("match takes a lease that its connection, and no other, releases")
    func leases() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try describe(client)
            _ = try client.ask("KV.PUT", ns, "BLOCKS", "1", "a", "A")
            let reply = try client.ask("KV.MATCH", ns, "LEASE", "60000", "KEYS", "1", "a")
            let id = String(reply.split(separator: "\r\n")[2].dropFirst())
            #expect(reply == "*3\r\n:1\r\n:\(id)\r\n*2\r\n+memory\r\n:1\r\n")
            let other = try node.connect()
            #expect(try other.ask("KV.RELEASE", id) == ":0\r\n")
            #expect(try client.ask("KV.GET", ns, "LEASE", id, "KEYS", "1", "a") == "*1\r\n$1\r\nA\r\n")
            #expect(try client.ask("KV.RELEASE", id) == ":1\r\n")
            #expect(try client.ask("KV.RELEASE", id) == ":0\r\n")
        }
    }

    @Test("leases end with their connection")
    func leasesEnd() async throws {
        try await TestNode.with { node in
            do {
                let client = try node.connect()
                let ns = try describe(client)
                _ = try client.ask("KV.PUT", ns, "BLOCKS", "1", "a", "A")
                _ = try client.ask("KV.MATCH", ns, "LEASE", "600000", "KEYS", "1", "a")
                #expect(node.figure("leases") == 1)
            }
            try await eventually { node.figure("leases") == 0 }
        }
    }

    @Test("put takes large and small payloads in one request, and answers for each")
    func mixed() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try describe(client)
            let large = SeededRandomBytes.make(300_000)
            let words: [[UInt8]] = [
                Array("KV.PUT".utf8), Array(ns.utf8), Array("BLOCKS".utf8), Array("4".utf8), Array("l1".utf8),
                large,
                Array("s".utf8), Array("small".utf8), [UInt8](repeating: 1, count: 600), large,
                Array("l2".utf8), large,
            ]
            try client.request(bytes: words)
            #expect(
                try client.receiveReply()
                    == "*4\r\n+stored\r\n+stored\r\n+refused invalidArgument: a key has 1 to 512 bytes\r\n+stored\r\n"
            )
            try client.request("KV.GET", ns, "KEYS", "3", "l1", "s", "l2")
            #expect(try client.receiveLine() == "*3\r\n")
            let header = Array("$300000\r\n".utf8)
            let replies = try client.receiveReplies(3)
            #expect(replies[0] == header + large + [13, 10])
            #expect(replies[1] == Array("$5\r\nsmall\r\n".utf8))
            #expect(replies[2] == header + large + [13, 10])
        }
    }

    @Test("a refused block's payload is drained, and the others are stored")
    func refused() async throws {
        try await TestNode.with { configuration, _ in
            configuration.memoryByteCount = 16 << 20
            configuration.limits.spaceTimeout = .milliseconds(50)
        } _: { node in
            let client = try node.connect()
            let ns = try describe(client)
            try client.request(bytes: [
                Array("KV.PUT".utf8), Array(ns.utf8), Array("BLOCKS".utf8), Array("2".utf8),
                Array("huge".utf8),
                [UInt8](repeating: 1, count: 20 << 20), Array("ok".utf8),
                [UInt8](repeating: 2, count: 100_000),
            ])
            #expect(try client.receiveLine() == "*2\r\n")
            #expect(try client.receiveLine().hasPrefix("+refused "))
            #expect(try client.receiveLine() == "+stored\r\n")
            #expect(try client.ask("PING") == "+PONG\r\n")
        }
    }

    @Test("say what is wrong with a request, and what its form is")
    func errors() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try describe(client)
            let unknown = String(repeating: "0", count: 64)
            func expect(_ words: [String], _ part: String) throws {
                try client.request(bytes: words.map { Array($0.utf8) })
                let reply = try client.receiveReply()
                #expect(
                    reply.hasPrefix("-ERR") && reply.contains(part),
                    "\(words.joined(separator: " ")): \(reply)"
                )
            }
            try expect(["KV.MATCH", "abc", "KEYS", "1", "a"], "64 hexadecimal digits")
            try expect(["KV.MATCH", unknown, "KEYS", "1", "a"], "KV.DESCRIBE")
            try expect(["KV.MATCH", ns, "KEYS", "2", "a"], "2 announced, but 1 arguments follow")
            try expect(["KV.MATCH", ns, "KEYS", "0", "a"], "KEYS takes 1 to")
            try expect(["KV.MATCH", ns, "KEYS", "x", "a"], "KEYS needs a number")
            try expect(["KV.MATCH", ns, "FOO", "1", "a"], "KV.MATCH ns [LEASE ms] [PREFETCH] KEYS n key ...")
            try expect(
                ["KV.MATCH", ns, "LEASE", "600001", "KEYS", "1", "a"],
                "LEASE (milliseconds) takes 0 to 600000"
            )
            try expect(["KV.GET", ns, "PREFETCH", "KEYS", "1", "a"], "KV.GET ns [LEASE id] KEYS n key ...")
            try expect(["KV.GET", ns, "KEYS", "1", ""], "key 1: a key has 1 to 512 bytes")
            try expect(["KV.PUT", ns, "BLOCKS", "2", "a", "A"], "not 4")
            try expect(["KV.PUT", ns, "TTL", "0", "BLOCKS", "1", "a", "A"], "TTL")
            try expect(["KV.PUT", unknown, "BLOCKS", "1", "a", "A"], "KV.DESCRIBE")
            try expect(["KV.DESCRIBE", "[1]"], "JSON object")
            try expect(["KV.HOT", ns, "0"], "KV.HOT takes 1 to 1024")
            #expect(
                try client.ask("KV.MATCH", ns) == "-ERR wrong number of arguments for 'kv.match' command\r\n"
            )
        }
    }

    @Test("tell figures as a map, and a page of help")
    func figures() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try describe(client)
            #expect(try client.ask("HELLO", "3").hasPrefix("%7\r\n"))
            _ = try client.ask("KV.PUT", ns, "TOKENS", "16", "BLOCKS", "1", "a", "A")
            _ = try client.ask("KV.MATCH", ns, "KEYS", "1", "a")
            let whole = try client.ask("KV.STATS")
            #expect(
                whole.hasPrefix("%") && whole.contains("puts_stored\r\n:1\r\n")
                    && whole.contains("connections\r\n:1")
            )
            #expect(try client.ask("KV.STATS", ns).contains("puts\r\n:1\r\n"))
            #expect(try client.ask("KV.HELP").hasPrefix("="))
            #expect(try client.ask("KV.HOT", ns, "5").contains("$4\r\nkeys\r\n*1\r\n$1\r\na\r\n"))
        }
    }
}
