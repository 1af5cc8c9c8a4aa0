import Blocks
import Cluster
import Foundation
import Testing

@testable import Node

@Suite("Tenants and operators")
struct TenantTests {
    private static func line(_ name: String, _ tenant: String, _ scopes: String) throws -> String {
        "\(name):\(tenant):\(scopes):\(try PasswordHash(password: "secret", log2Rounds: 10).text)"
    }

    private static let severalTenants = Result {
        try UserFile(
            parsing: [
                line("wa", "a", "read,write"), line("ra", "a", "read"), line("aa", "a", "read,write,admin"),
                line("wb", "b", "read,write"), line("ab", "b", "read,write,admin"),
                line("op", "b", "read,operator"),
                line("only", "a", "write"),
            ]
            .joined(separator: "\n")
        )
    }

    private func withTenants(
        _ change: (inout NodeConfiguration, String) -> Void = { _, _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        let users = try Self.severalTenants.get()
        try await TestNode.with { configuration, directory in
            configuration.users = users
            change(&configuration, directory)
        } _: { node in
            try await body(node)
        }
    }

    private func connect(_ user: String, to node: TestNode) throws -> WireClient {
        let client = try node.connect()
        guard try client.ask("AUTH", user, "secret") == "+OK\r\n" else {
            throw WireError(text: "\(user) is refused")
        }
        return client
    }

    private func describe(_ json: String, _ client: WireClient) throws -> String {
        String(try client.ask("KV.DESCRIBE", json).split(separator: "\r\n")[1])
    }

    @Test("a namespace of another tenant is answered as one that nobody has described")
    func unknownNamespaces() async throws {
        try await withTenants { node in
            let (a, b) = (try connect("wa", to: node), try connect("ab", to: node))
            let ns = try describe(#"{"model":"m","cache_salt":"top"}"#, a)
            #expect(try a.ask("KV.PUT", ns, "BLOCKS", "1", "x", "X").hasPrefix("*1\r\n"))
            let nobody = String(repeating: "0", count: 64)
            for words in [
                ["KV.MATCH", ns, "KEYS", "1", "x"], ["KV.GET", ns, "KEYS", "1", "x"],
                ["KV.EXPLAIN", ns, "KEYS", "1", "x"],
                ["KV.DEL", ns, "KEYS", "1", "x"], ["KV.PIN", ns, "KEYS", "1", "x"],
                ["KV.UNPIN", ns, "KEYS", "1", "x"],
                ["KV.PREFETCH", ns, "KEYS", "1", "x"], ["KV.STATS", ns], ["KV.HOT", ns, "1"],
                ["KV.CLEAR", ns],
                ["KV.FORGET", ns], ["KV.PUT", ns, "BLOCKS", "1", "x", "Y"],
            ] {
                func ask(_ words: [String]) throws -> String {
                    try b.request(bytes: words.map { Array($0.utf8) })
                    return try b.receiveReply()
                }
                let answer = try ask(words)
                #expect(answer.contains("unknown namespace"), "\(words[0]): \(answer)")
                #expect(try ask(words.map { $0 == ns ? nobody : $0 }) == answer)
            }
            #expect(try a.ask("KV.GET", ns, "KEYS", "1", "x") == "*1\r\n$1\r\nX\r\n")
        }
    }

    @Test("a user who may only read makes no namespace known, and uses those that its tenant knows")
    func readersDescribe() async throws {
        try await withTenants { node in
            let (writer, reader) = (try connect("wa", to: node), try connect("ra", to: node))
            let other = try connect("wb", to: node)
            let json = #"{"model":"m"}"#
            _ = try describe(json, other)
            #expect(
                try reader.ask("KV.DESCRIBE", json).hasPrefix("-NOPERM"),
                "only the other tenant knows it"
            )
            #expect(try reader.ask("KV.DESCRIBE", #"{"model":"n"}"#).hasPrefix("-NOPERM"), "nobody knows it")
            let ns = try describe(json, writer)
            #expect(try describe(json, reader) == ns)
            #expect(try reader.ask("KV.MATCH", ns, "KEYS", "1", "x").hasPrefix("*"))
        }
    }

    @Test("a tenant's share of namespaces is its own, and those that hold nothing are given back")
    func namespaceShares() async throws {
        try await withTenants { node in
            let (a, b) = (try connect("aa", to: node), try connect("ab", to: node))
            for number in 0..<1_024 { _ = try describe(#"{"n":\#(number)}"#, a) }
            #expect(try a.ask("KV.DESCRIBE", #"{"n":1024}"#).contains("KV.FORGET"))
            #expect(try b.ask("KV.DESCRIBE", #"{"n":1024}"#).hasPrefix("$64\r\n"))
            let ns = try describe(#"{"n":7}"#, a)
            _ = try a.ask("KV.PUT", ns, "BLOCKS", "1", "x", "X")
            #expect(try a.ask("KV.FORGET", ns).contains("holds 1 blocks"))
            _ = try a.ask("KV.CLEAR", ns)
            #expect(try a.ask("KV.FORGET", ns) == "+OK\r\n")
            #expect(try a.ask("KV.GET", ns, "KEYS", "1", "x").contains("unknown namespace"))
            #expect(try a.ask("KV.DESCRIBE", #"{"n":1024}"#).hasPrefix("$64\r\n"))
        }
    }

    @Test("namespaces with blocks are known to their tenant after a restart, and to no other")
    func restart() async throws {
        let directory = try TemporaryPath()
        defer { directory.remove() }
        func change(_ configuration: inout NodeConfiguration, _: String) {
            configuration.dataDirectory = directory.path
            configuration.diskByteCount = 256 << 20
        }
        var ns = ""
        try await withTenants(change) { node in
            let a = try connect("wa", to: node)
            ns = try describe(#"{"model":"m"}"#, a)
            #expect(try a.ask("KV.PUT", ns, "DURABLE", "BLOCKS", "1", "x", "X").contains("stored"))
            var status = stat()
            #expect(unsafe stat("\(directory.path)/namespaces.jsonl", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600, "descriptions hold salts")
        }
        try await withTenants(change) { node in
            let (a, b) = (try connect("wa", to: node), try connect("ab", to: node))
            #expect(try a.ask("KV.GET", ns, "KEYS", "1", "x") == "*1\r\n$1\r\nX\r\n")
            #expect(try b.ask("KV.GET", ns, "KEYS", "1", "x").contains("unknown namespace"))
        }
    }

    @Test("figures and connections of the whole node are for operators, not for a tenant's admins")
    func operators() async throws {
        try await withTenants { node in
            let (a, b) = (try connect("wa", to: node), try connect("ab", to: node))
            let op = try connect("op", to: node)
            func field(_ name: String, _ client: WireClient) throws -> String? {
                try client.ask("INFO").split(separator: "\r\n").first { $0.hasPrefix("\(name):") }
                    .map { String($0.dropFirst(name.count + 1)) }
            }
            let (used, clients) = (try field("used_memory", b), try field("connected_clients", b))
            #expect(used == "0" && clients == "2")
            try a.request(bytes: [
                Array("SET".utf8), Array("k".utf8), [UInt8](repeating: 1, count: 1_234_567),
            ])
            #expect(try a.receiveReply() == "+OK\r\n")
            let more = try connect("wa", to: node)
            #expect(try field("used_memory", b) == used, "what the other tenant stores is not to be seen")
            #expect(try field("connected_clients", b) == clients)
            #expect(try field("used_memory", more) == "1234567", "what the own tenant stores is")
            #expect(try field("total_commands_processed", b) == nil)
            #expect(try Int(field("used_memory", op) ?? "") ?? 0 > 1_234_567)
            #expect(try b.ask("KV.STATS").hasPrefix("-NOPERM"))
            #expect(try op.ask("KV.STATS").hasPrefix("*"))
            func lines(_ client: WireClient) throws -> Int {
                try client.ask("CLIENT", "LIST").split(separator: "\n").count { $0.contains("id=") }
            }
            #expect(try lines(b) == 2)
            #expect(try lines(op) == 4)
        }
    }

    @Test("admins are operators only where no other tenant is concerned and nobody else is one")
    func implicitOperators() throws {
        func isOperator(_ lines: String...) throws -> Bool {
            try UserFile(parsing: lines.joined(separator: "\n")).users["x"]?.may(.operator) ?? false
        }
        #expect(try isOperator(Self.line("x", "a", "read,admin")))
        #expect(try !isOperator(Self.line("x", "a", "read,write")))
        #expect(try !isOperator(Self.line("x", "a", "read,admin"), Self.line("y", "b", "read")))
        #expect(try !isOperator(Self.line("x", "a", "read,admin"), Self.line("y", "a", "read,operator")))
    }

    @Test("one tenant's keys do not make another's padded misses plain")
    func paddedMisses() throws {
        let table = PaddedNilTable()
        func key(_ number: Int) -> [UInt8] {
            Array("model-\(number)@00000000@0@\(String(repeating: "a", count: 64))".utf8)
        }
        let (a, b) = (try Tenant("a"), try Tenant("b"))
        table.record(key(0), tenant: a, database: 0, byteCount: 1_000)
        for number in 0..<2_000 { table.record(key(number), tenant: b, database: 0, byteCount: 1_000) }
        #expect(table.reply(key(0), tenant: a, database: 0) == "$-001\r\n")
        #expect(table.reply(key(0), tenant: b, database: 0) == nil, "its own oldest are forgotten")
        for number in 0..<2_000 {
            table.record(key(0), tenant: try Tenant("t\(number)"), database: 0, byteCount: 10)
        }
        #expect(table.reply(key(0), tenant: a, database: 0) == nil, "tenants are bounded as well")
    }

    @Test("each verb is allowed by exactly its scope", arguments: Scope.allCases)
    func verbs(_ scope: Scope) async throws {
        let word = scope == .connect ? "" : scope.rawValue
        let users = try UserFile(parsing: Self.line("x", "t", word) + "\n" + Self.line("y", "t", "operator"))
        try await TestNode.with { configuration, _ in
            configuration.users = users
        } _: { node in
            for specification in CommandTable.specifications {
                let client = try connect("x", to: node)
                let count = abs(specification.arity)
                let words =
                    [specification.command.rawValue] + [String](repeating: "1", count: max(0, count - 1))
                try client.request(bytes: words.map { Array($0.utf8) })
                let answer = try client.receiveReply()
                let mayRun =
                    specification.scope == nil || specification.scope == .connect
                    || specification.scope == scope
                #expect(
                    answer.hasPrefix("-NOPERM this user has no permissions to run the '\(words[0])' command")
                        == !mayRun,
                    "\(words[0]): \(answer)"
                )
            }
        }
    }

    @Test("in a cluster a tenant knows at every node what it has described at one, and no other tenant does")
    func cluster() async throws {
        let users = try Self.severalTenants.get()
        let secret = try ClusterSecret(Array("0123456789abcdef0123456789abcdef".utf8))
        var plan = TestCluster.Plan()
        plan.count = 2
        plan.change = { configuration, _ in
            configuration.users = users
            configuration.cluster?.secret = secret
            configuration.cluster?.tenants = Array(users.tenants)
        }
        try await TestCluster.with(plan) { cluster in
            let a = try connect("wa", to: cluster.nodes[0])
            let ns = try describe(#"{"model":"m"}"#, a)
            #expect(try a.ask("KV.PUT", ns, "BLOCKS", "2", "x", "X", "y", "Y").hasPrefix("*2\r\n"))
            let (reader, b) = (
                try connect("ra", to: cluster.nodes[1]), try connect("ab", to: cluster.nodes[1])
            )
            try await Eventually.holds("the other node knows it for the tenant") {
                try reader.ask("KV.GET", ns, "KEYS", "2", "x", "y") == "*2\r\n$1\r\nX\r\n$1\r\nY\r\n"
            }
            #expect(try b.ask("KV.GET", ns, "KEYS", "1", "x").contains("unknown namespace"))
            let other = try describe(#"{"model":"other"}"#, b)
            #expect(try b.ask("KV.PUT", other, "BLOCKS", "1", "x", "B").hasPrefix("*1\r\n"))
            #expect(try a.ask("KV.GET", other, "KEYS", "1", "x").contains("unknown namespace"))
            // Whoever owns the key, the door looks at the scope.
            let writeOnly = try connect("only", to: cluster.nodes[0])
            for key in TestCluster.keys(16) {
                #expect(try writeOnly.ask("SET", key, "v") == "+OK\r\n")
                #expect(try writeOnly.ask("SET", key, "w", "GET").hasPrefix("-NOPERM"))
            }
        }
    }
}

/// A directory that more than one node of a test uses.
private struct TemporaryPath {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "larder-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
