import Blocks
import Logging
import Synchronization
import Testing

@testable import Node

@Suite("Strangers who guess passwords")
struct AuthenticationTests {
    private static func hash(_ password: String, log2Rounds: Int = 10) throws -> String {
        try PasswordHash(password: password, log2Rounds: log2Rounds).text
    }

    private func users(_ lines: String...) throws -> UserFile {
        try UserFile(parsing: lines.joined(separator: "\n"))
    }

    private let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// What an attempt comes to.
    private func check(
        _ authenticator: Authenticator,
        _ name: String,
        _ password: String,
        from address: String = "10.0.0.1:1"
    ) async -> Authenticator.Outcome {
        await withCheckedContinuation { continuation in
            authenticator.check(name, password, from: .init(address: address)) {
                continuation.resume(returning: $0)
            }
        }
    }

    @Test("have as many guesses as a connection has, whatever it begins anew")
    func resets() async throws {
        let users = try users("bob:team-b:read:\(Self.hash("secret"))")
        try await TestNode.with { configuration, _ in
            configuration.users = users
            configuration.limits.authenticationFailureDelay = .milliseconds(5)
        } _: { node in
            let client = try node.connect()
            for _ in 0..<5 {
                #expect(try client.ask("AUTH", "bob", "wrong").hasPrefix("-WRONGPASS"))
                try? client.send("*1\r\n$5\r\nRESET\r\n")
                _ = try? client.receiveLine()
            }
            #expect(try client.isClosed(within: 2000))
            #expect(try node.counters.authenticationFailures.value == 5)
        }
    }

    @Test("do not keep a user of another address waiting behind them")
    func fairness() async throws {
        let users = try users(
            "bob:team-b:read:\(Self.hash("secret-b", log2Rounds: 12))",
            "alice:team-a:read:\(Self.hash("secret-a", log2Rounds: 12))"
        )
        try await TestNode.with { configuration, _ in
            configuration.users = users
            configuration.limits.handshakeTimeout = .seconds(60)
            configuration.limits.authenticationTimeout = .seconds(60)
        } _: { node in
            let authenticator = try #require(node.node.services?.authenticator)
            let guessers = try (0..<60).map { _ in try node.connect() }
            for (index, guesser) in guessers.enumerated() {
                try guesser.request(
                    bytes: ["AUTH", index.isMultiple(of: 2) ? "bob" : "alice", "x\(index)"].map {
                        Array($0.utf8)
                    }
                )
            }
            try await Eventually.holds("the guesses wait") { authenticator.waitingCount > 40 }
            let right = try WireClient(port: node.addresses.port ?? 0, source: 2)
            #expect(try right.ask("AUTH", "alice", "secret-a") == "+OK\r\n")
            #expect(authenticator.waitingCount > 0, "guesses that came before still wait")
        }
    }

    @Test("wait in turns: by address and user, those who have failed behind the others, nobody for ever")
    func turns() {
        typealias Queue = AuthenticationQueue<String>
        var queue = Queue(countMax: 16, countPerSourceMax: 4)
        func add(_ text: String, _ address: String, _ user: String?, _ standing: Queue.Standing) -> Bool {
            queue.add(text, of: Queue.Source(address: address, user: user), standing)
        }
        for number in 1...4 { #expect(add("a\(number)", "a", nil, .clean)) }
        #expect(!add("a5", "a", nil, .clean), "one source has four places")
        #expect(add("failed", "f", nil, .connectionFailed))
        #expect(add("b1", "b", nil, .clean))
        #expect(add("u1", "a", "user", .clean), "another user of the same address is another source")
        var order: [String] = []
        while let next = queue.next() { order.append(next) }
        #expect(order == ["a1", "b1", "u1", "failed", "a2", "a3", "a4"])
    }

    @Test("leave room for addresses that come for the first time")
    func shares() {
        typealias Queue = AuthenticationQueue<Int>
        var queue = Queue(countMax: 8, countPerSourceMax: 8)
        func fill(_ standing: Queue.Standing) -> Int {
            (0..<100).count { queue.add($0, of: .init(address: "\(standing)\($0)", user: nil), standing) }
        }
        #expect(fill(.connectionFailed) == 4)
        #expect(fill(.addressFailed) == 2)
        #expect(fill(.clean) == 2)
        #expect(queue.count == 8)
    }

    @Test("are answered later the more often their address has failed, and forgotten after a while")
    func delays() {
        let start = ContinuousClock.now
        var failures = AddressFailures(addressCountMax: 2, memory: .seconds(60))
        for _ in 0..<7 { failures.record("a", at: start) }
        #expect(failures.delayFactor(of: "a", at: start) == 1)
        failures.record("a", at: start)
        #expect(failures.delayFactor(of: "a", at: start) == 2)
        for _ in 0..<100 { failures.record("a", at: start) }
        #expect(failures.delayFactor(of: "a", at: start) == 16)
        #expect(failures.delayFactor(of: "a", at: start + .seconds(60)) == 1)
        failures.record("b", at: start + .seconds(1))
        failures.record("c", at: start + .seconds(2))
        #expect(failures.count(of: "a", at: start + .seconds(2)) == 0, "the oldest makes room")
        #expect(failures.count(of: "b", at: start + .seconds(2)) == 1)
    }

    @Test(
        "are counted by address without port, and by network with IPv6",
        arguments: [
            ("10.1.2.3:4567", "10.1.2.3"), ("ipv4:10.1.2.3:4567", "10.1.2.3"),
            ("ipv6:[2001:db8:1:2:3:4:5:6]:70", "20:1:d:b8:0:1:0:2"),
            ("[2001:db8:1:2::9]:70", "20:1:d:b8:0:1:0:2"),
            ("[::ffff:10.1.2.3]:70", "10.1.2.3"), ("unix:/tmp/x", "unix"),
        ]
    )
    func keys(_ endpoint: String, _ key: String) {
        #expect(AddressFailures.key(endpoint) == key)
    }

    @Test("are logged with user, address and reason: the first at once, then a summary")
    func logged() async throws {
        let lines = LogLines()
        let authenticator = Authenticator(
            try users("bob:team-b:read:\(Self.hash("secret"))"),
            logger: Logger(label: "test") { _ in lines }
        )
        defer { authenticator.stop() }
        for _ in 0..<3 { _ = await check(authenticator, "bob", "wrong") }
        _ = await check(authenticator, "no\nbody", "wrong")
        let line = try #require(lines.all.first)
        #expect(lines.all.count == 1)
        #expect(line.contains("bob") && line.contains("10.0.0.1") && line.contains("wrong password"))
        #expect(!line.contains("secret"))
        var log = FailureLog(window: .seconds(10))
        let start = ContinuousClock.now
        #expect(log.note(at: start) == 0)
        #expect(log.note(at: start + .seconds(1)) == nil)
        #expect(log.note(at: start + .seconds(9)) == nil)
        #expect(log.note(at: start + .seconds(10)) == 2)
    }

    @Test("do not come in by a password whose check was under way when the user was replaced")
    func replacedUser() async throws {
        let authenticator = Authenticator(try users("bob:team-b:read:\(Self.hash("b"))"), logger: silent)
        defer { authenticator.stop() }
        let (old, _) = UserFile.users(ofLines: ["dave:team-d:read:\(try Self.hash("old", log2Rounds: 12))"])
        let (new, _) = UserFile.users(ofLines: ["dave:team-d:read:\(try Self.hash("new"))"])
        authenticator.share(old)
        let underWay = await withCheckedContinuation { continuation in
            authenticator.check("dave", "old", from: .init(address: "a")) {
                continuation.resume(returning: $0)
            }
            authenticator.share(new)
        }
        guard case .refused = underWay else {
            Issue.record("the password of the user before was taken")
            return
        }
        guard case .refused = await check(authenticator, "dave", "old") else {
            Issue.record("the password of the user before is known")
            return
        }
        guard case .accepted(let user) = await check(authenticator, "dave", "new") else {
            Issue.record("the new password is refused")
            return
        }
        #expect(user == new["dave"])
        #expect(authenticator.knownUser("dave", "new") == new["dave"])
        authenticator.share(old)
        #expect(authenticator.knownUser("dave", "new") == nil)
    }

    @Test("cannot tell unknown names by their cost: it is that of the costliest user")
    func decoy() throws {
        let file = try users(
            "cheap:t:read:\(Self.hash("a", log2Rounds: 10))",
            "dear:t:read:\(Self.hash("b", log2Rounds: 12))"
        )
        let authenticator = Authenticator(file, logger: silent)
        defer { authenticator.stop() }
        #expect(authenticator.decoyCost == file.users["dear"]?.password?.cost)
        let (shared, _) = UserFile.users(ofLines: ["dearest:t:read:\(try Self.hash("c", log2Rounds: 13))"])
        authenticator.share(shared)
        #expect(authenticator.decoyCost == shared["dearest"]?.password?.cost)
    }
}

/// Gathers what is logged.
final class LogLines: LogHandler, Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }

    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }

    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        let metadata = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
        lines.withLock { $0.append("\(event.message) \(metadata)") }
    }
}
