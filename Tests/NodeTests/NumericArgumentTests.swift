import Testing

@testable import Node

@Suite("Numbers at the edges")
struct NumericArgumentTests {
    /// What every numeric argument is given.
    private static let values = [
        "-9223372036854775808", "-9223372036854775807", "-1", "0", "1", "9223372036854775806",
        "9223372036854775807", "9223372036854775808", "18446744073709551615", "-0", "1.5", "x", "",
    ]

    /// Requests with `#` where a number is, on a connection with key `k` and namespace `NS`.
    private static let forms = [
        "SET k v EX #", "SET k v PX #", "SET k v EXAT #", "SET k v PXAT #", "SETEX k # v", "PSETEX k # v",
        "EXPIRE k #", "PEXPIRE k #", "EXPIREAT k #", "PEXPIREAT k #", "EXPIREAT k # GT", "PEXPIREAT k # LT",
        "GETRANGE k # 0", "GETRANGE k 0 #", "GETRANGE k # #", "SCAN #", "SCAN 0 COUNT #", "SELECT #",
        "HELLO #", "MEMORY USAGE k SAMPLES #", "CLIENT LIST ID #", "CLIENT KILL ID #", "CLIENT NO-EVICT #",
        "KV.MATCH NS LEASE # KEYS 1 k", "KV.MATCH NS KEYS # k", "KV.GET NS LEASE # KEYS 1 k",
        "KV.GET NS KEYS # k",
        "KV.PUT NS TTL # BLOCKS 1 b v", "KV.PUT NS TTL # PIN BLOCKS 1 b v", "KV.PUT NS TOKENS # BLOCKS 1 b v",
        "KV.PUT NS XXH3 # BLOCKS 1 b v", "KV.PUT NS BLOCKS # b v", "KV.PIN NS TTL # KEYS 1 b",
        "KV.PIN NS KEYS # b",
        "KV.UNPIN NS KEYS # b", "KV.PREFETCH NS KEYS # b", "KV.DEL NS KEYS # b", "KV.EXPLAIN NS KEYS # b",
        "KV.RELEASE #", "KV.HOT NS #", "KV.BORROW NS KEYS # b", "KV.RESERVE NS BLOCKS 1 r #",
        "KV.RESERVE NS TTL # BLOCKS 1 r 8", "KV.RESERVE NS TOKENS # BLOCKS 1 r 8",
        "KV.RESERVE NS BLOCKS # r 8",
        "KV.COMMIT # 1", "KV.COMMIT 1 #", "KV.ABORT #", "KV.HELD NS LEASE # KEYS 1 k", "KV.FETCH NS KEYS # k",
        "KV.PEER BEAT active # 1", "KV.PEER BEAT active 1 #", "KV.FOR default # GET k",
    ]

    /// What is asked after each, so that a number that was stored is read in every way.
    private static let questions = [
        "TTL k", "PTTL k", "EXPIRETIME k", "PEXPIRETIME k", "GET k", "MEMORY USAGE k", "SCAN 0",
    ]

    @Test("no number in a request ends the node, and each is answered", arguments: forms)
    func everyVerb(form: String) async throws {
        try await TestNode.with({ configuration, directory in
            configuration.sharesWrites = true
            configuration.dataDirectory = "\(directory)/data"
            configuration.diskByteCount = 64 << 20
        }) { node in
            let client = try node.connectLocally()
            let namespace = try client.describeEmpty()
            for value in Self.values {
                _ = try client.ask("SET", "k", "v")
                let words = form.replacing("NS", with: namespace).replacing("#", with: value)
                    .split(separator: " ", omittingEmptySubsequences: false).map { Array($0.utf8) }
                try client.request(bytes: words)
                _ = try client.receiveReply()
                for question in Self.questions {
                    try client.request(bytes: question.split(separator: " ").map { Array($0.utf8) })
                    _ = try client.receiveReply()
                }
                #expect(try client.ask("PING") == "+PONG\r\n", "\(form) with \(value)")
                _ = try client.ask("HELLO", "2")
                _ = try client.ask("SELECT", "0")
            }
        }
    }

    @Test("a time of expiry at the end of time is read back as it was set")
    func lastMoment() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            #expect(try client.ask("SET", "k", "v", "PXAT", "9223372036854775807") == "+OK\r\n")
            #expect(try client.ask("PEXPIRETIME", "k") == ":9223372036854775807\r\n")
            #expect(try client.ask("EXPIRETIME", "k") == ":9223372036854776\r\n")
            #expect(try client.ask("GET", "k") == "$1\r\nv\r\n")
            let remaining = try client.ask("TTL", "k")
            #expect(remaining.hasPrefix(":922337"), "\(remaining)")
        }
    }
}
