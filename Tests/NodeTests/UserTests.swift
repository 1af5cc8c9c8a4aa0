import Blocks
import Logging
import Testing

@testable import Node

@Suite("Users")
struct UserTests {
    private static let users = Result {
        try UserFile(
            parsing: """
                # name:tenant:scopes:password-hash
                default:team-a:read,write:\(try Self.hash("secret-a"))

                bob:team-b:read,write,admin:\(try Self.hash("secret-b"))
                carol:team-a:read:\(try Self.hash("secret-c"))
                wendy:team-a:write:\(try Self.hash("secret-w"))
                olga:team-b:read,operator:\(try Self.hash("secret-o"))
                """
        )
    }

    /// A hash with few rounds: a debug build takes a second for one as they should be.
    private static func hash(_ password: String) throws -> String {
        try PasswordHash(password: password, log2Rounds: 10).text
    }

    private func withUsers(
        _ change: (inout NodeConfiguration) -> Void = { _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        let users = try Self.users.get()
        try await TestNode.with { configuration, _ in
            configuration.users = users
            configuration.limits.authenticationFailureDelay = .milliseconds(20)
            change(&configuration)
        } _: { node in
            try await body(node)
        }
    }

    @Test("users that the cluster keeps come and go; those of the node's own file stay what they are")
    func sharedUsers() async throws {
        try await withUsers { node in
            let users = SharedUsers(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            users.begin(node.node.services?.authenticator)
            let client = try node.connect()
            #expect(try client.ask("AUTH", "dave", "secret-d").hasPrefix("-WRONGPASS"))
            users.changed([
                "dave:team-d:read:\(try Self.hash("secret-d"))",
                "bob:team-d:read:\(try Self.hash("secret-d"))",
                "no line of a users file",
            ])
            #expect(try client.ask("AUTH", "dave", "secret-d") == "+OK\r\n")
            #expect(try client.ask("SET", "a", "1").hasPrefix("-NOPERM"))
            #expect(try node.connect().ask("AUTH", "bob", "secret-d").hasPrefix("-WRONGPASS"))
            #expect(try node.connect().ask("AUTH", "bob", "secret-b") == "+OK\r\n")
            users.changed(["dave:team-d:read:\(try Self.hash("secret-e"))"])
            #expect(try node.connect().ask("AUTH", "dave", "secret-d").hasPrefix("-WRONGPASS"))
            #expect(try node.connect().ask("AUTH", "dave", "secret-e") == "+OK\r\n")
            users.changed([])
            #expect(try node.connect().ask("AUTH", "dave", "secret-e").hasPrefix("-WRONGPASS"))
        }
    }

    @Test("nothing but AUTH, HELLO, QUIT and RESET works before authentication")
    func unauthenticated() async throws {
        try await withUsers { node in
            let client = try node.connect()
            for words in [
                ["PING"], ["GET", "a"], ["KV.STATS"], ["INFO"], ["CLIENT", "ID"], ["SELECT", "1"],
            ] {
                try client.request(bytes: words.map { Array($0.utf8) })
                #expect(try client.receiveReply() == "-NOAUTH Authentication required.\r\n")
            }
            #expect(
                try client.ask("HELLO", "3").hasPrefix("-NOAUTH HELLO must be called with the client already")
            )
            #expect(try client.ask("RESET") == "+RESET\r\n")
            #expect(try client.ask("AUTH", "secret-a") == "+OK\r\n")
            #expect(try client.ask("PING") == "+PONG\r\n")
            try client.send("*2\r\n$3\r\nGET\r\n$20000\r\n")
            let stranger = try node.connect()
            try stranger.send("*2\r\n$3\r\nGET\r\n$20000\r\n")
            #expect(try stranger.receiveToEnd() == "-ERR Protocol error: unauthenticated bulk length\r\n")
        }
    }

    @Test("authenticate by AUTH and by HELLO; failures are answered late, counted and bounded")
    func authentication() async throws {
        try await withUsers { node in
            let client = try node.connect()
            #expect(try client.ask("AUTH", "bob", "secret-b") == "+OK\r\n")
            let greeted = try node.connect()
            #expect(try greeted.ask("HELLO", "3", "AUTH", "carol", "secret-c").hasPrefix("%7\r\n"))
            let wrong = try node.connect()
            let refusal = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            #expect(try wrong.ask("AUTH", "bob", "secret-a") == refusal)
            #expect(try wrong.ask("AUTH", "nobody", "secret-a") == refusal)
            #expect(try wrong.ask("HELLO", "3", "AUTH", "bob", "x") == refusal)
            #expect(try wrong.ask("AUTH", "x") == refusal)
            #expect(try wrong.ask("AUTH", "x") == refusal)
            #expect(try wrong.isClosed(within: 2000))
            #expect(try node.counters.authenticationFailures.value == 5)
        }
    }

    @Test("who do not authenticate in time are cut")
    func handshake() async throws {
        try await withUsers({ $0.limits.handshakeTimeout = .milliseconds(500) }) { node in
            let silent = try node.connect()
            #expect(try silent.isClosed(within: 3000))
            #expect(try node.counters.cutCount(.handshake) == 1)
        }
    }

    @Test("see only their tenant's blocks, namespaces and connections")
    func tenants() async throws {
        try await withUsers { node in
            let (a, b, c) = (try node.connect(), try node.connect(), try node.connect())
            _ = try a.ask("AUTH", "secret-a")
            _ = try b.ask("AUTH", "bob", "secret-b")
            _ = try c.ask("AUTH", "carol", "secret-c")
            #expect(try a.ask("SET", "k", "v") == "+OK\r\n")
            #expect(try c.ask("GET", "k") == "$1\r\nv\r\n", "the same tenant's other user sees it")
            #expect(try b.ask("GET", "k") == "$-1\r\n")
            #expect(try b.ask("EXISTS", "k") == ":0\r\n")
            #expect(try b.ask("DEL", "k") == ":0\r\n")
            #expect(try b.ask("DBSIZE") == ":0\r\n")
            #expect(try b.ask("SCAN", "0") == "*2\r\n$1\r\n0\r\n*0\r\n")
            #expect(try b.ask("FLUSHALL") == "+OK\r\n")
            #expect(try a.ask("DBSIZE") == ":1\r\n")
            let ns = try a.describeEmpty()
            _ = try a.ask("KV.PUT", ns, "BLOCKS", "1", "x", "X")
            _ = try b.ask("KV.DESCRIBE", "{}")
            #expect(try a.ask("KV.GET", ns, "KEYS", "1", "x") == "*1\r\n$1\r\nX\r\n")
            #expect(try b.ask("KV.GET", ns, "KEYS", "1", "x") == "*1\r\n$-1\r\n")
            #expect(
                try a.ask("CLIENT", "LIST").split(separator: "\n").filter { $0.contains("id=") }.count == 2
            )
        }
    }

    @Test("do only what their scopes allow")
    func scopes() async throws {
        try await withUsers { node in
            let reader = try node.connect()
            _ = try reader.ask("AUTH", "carol", "secret-c")
            #expect(
                try reader.ask("SET", "k", "v")
                    == "-NOPERM this user has no permissions to run the 'set' command\r\n"
            )
            try reader.request(bytes: [
                Array("SET".utf8), Array("k".utf8), [UInt8](repeating: 1, count: 100_000),
            ])
            #expect(try reader.receiveLine().hasPrefix("-NOPERM"))
            #expect(try reader.ask("FLUSHALL").hasPrefix("-NOPERM"))
            #expect(try reader.ask("KV.STATS").hasPrefix("-NOPERM"))
            #expect(try reader.ask("GET", "k") == "$-1\r\n")
            let writer = try node.connect()
            _ = try writer.ask("AUTH", "wendy", "secret-w")
            #expect(try writer.ask("SET", "k", "v") == "+OK\r\n")
            #expect(try writer.ask("GET", "k").hasPrefix("-NOPERM"))
            #expect(
                try writer.ask("SET", "k", "w", "GET").hasPrefix("-NOPERM"),
                "GET reads, wherever it stands"
            )
            #expect(try reader.ask("GET", "k") == "$1\r\nv\r\n", "and nothing was set")
        }
    }

    @Test("are read from a file whose errors name the line and not its content")
    func file() {
        func message(_ text: String) -> String {
            do {
                _ = try UserFile(parsing: text)
                return ""
            } catch {
                return error.message
            }
        }
        #expect(message("").contains("names no user"))
        #expect(message("a:b:read").contains("line 1"))
        #expect(message("# c\na:b c:read:hunter2").contains("line 2: the tenant"))
        #expect(message("a:b:everything:hunter2").contains("scopes are read, write, admin and operator"))
        let plain = message("a:b:read:hunter2")
        #expect(plain.contains("line 1: the password hash") && !plain.contains("hunter2"))
    }

    @Test("have hashes that only the password fits, with a salt of their own")
    func hashes() throws {
        let text = try UserFile.hash(password: "p")
        #expect(text.hasPrefix("scrypt$14$8$1$"))
        #expect(try UserFile.hash(password: "p") != text)
        let hash = try #require(PasswordHash(parsing: text[...]))
        #expect(hash.verify("p"))
        #expect(!hash.verify("q"))
        #expect(PasswordHash(parsing: "scrypt$30$8$1$c2FsdHNhbHQ$AAAA") == nil)
    }

    @Test(
        "without them, only this machine is listened to, and the error says how to change that",
        arguments: ["0.0.0.0", "192.168.1.1", "::", "example.com"]
    )
    func protected(_ host: String) {
        var configuration = NodeConfiguration()
        configuration.host = host
        do {
            _ = try Node(configuration, logger: Logger(label: "test"))
            Issue.record("accepted")
        } catch {
            #expect(error.code == .invalidArgument && error.message.contains("--users"))
        }
    }
}
