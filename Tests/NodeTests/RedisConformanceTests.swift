import Foundation
import TestSupport
import Testing

@testable import Node

@Suite("Replies are Redis's, byte by byte", .enabled(if: RedisServerProcess.executable != nil))
struct RedisConformanceTests {
    /// One request a line; words with spaces are in double quotes. Both servers get the same lines on one connection.
    static let requests = """
        FLUSHALL
        PING
        PING hi
        PING a b
        ECHO hi
        ECHO
        GET
        GET a
        SET a hello
        GET a
        SET a
        SET a b c
        SET a b EX
        SET a b EX 0
        SET a b EX -1
        SET a b EX abc
        SET a b EX 9223372036854775807
        SET a b PX 100000
        SET a b NX
        SET a b XX
        SET a b NX XX
        SET a b EX 10 PX 10
        SET a b EX 10 KEEPTTL
        SET a b KEEPTTL EX 10
        SET a c GET
        SET zz c GET
        SET zz c NX GET
        SET a c XX KEEPTTL
        SET a v EXAT 1
        GET a
        SET a v PXAT 99999999999999
        PEXPIRETIME a
        EXPIRETIME a
        EXPIRETIME nokey
        SETEX a 10 v
        SETEX a 0 v
        SETEX a x v
        PSETEX a 0 v
        PSETEX a 1000000 v
        SETEX a 10
        SETNX a v
        SETNX new v
        SETNX new
        MSET a 1 b 2
        MSET a 1 b
        MGET a b c
        MGET
        EXISTS a a b nokey
        EXISTS
        STRLEN a
        STRLEN nokey
        STRLEN
        SET r 0123456789
        GETRANGE r 0 3
        GETRANGE r -3 -1
        GETRANGE r 0 -1
        GETRANGE r 5 2
        GETRANGE r -1 -3
        GETRANGE r -100 3
        GETRANGE r 8 100
        GETRANGE r 20 30
        GETRANGE r a b
        GETRANGE nokey 0 1
        GETRANGE r 0
        GETRANGE r -9223372036854775808 9223372036854775807
        TTL a
        TTL nokey
        PTTL nokey
        TTL r
        EXPIRE r 100
        TTL r
        EXPIRE r abc
        EXPIRE r 9223372036854775807
        EXPIRE nokey 10
        EXPIRE r 10 NX
        EXPIRE r 10 XX
        EXPIRE r 1000 GT
        EXPIRE r 10 GT
        EXPIRE r 10 LT
        EXPIRE r 10 NX XX
        EXPIRE r 10 GT LT
        EXPIRE r 10 NX GT
        EXPIRE r 10 FOO
        PEXPIRE r 100000
        PEXPIRE r -1
        GET r
        EXPIREAT a 99999999999
        EXPIREAT a 1
        PERSIST a
        SET p v EX 100
        PERSIST p
        PERSIST p
        PERSIST nokey
        TOUCH p nokey p
        TOUCH
        TYPE p
        TYPE nokey
        TYPE
        DEL p nokey p
        DEL
        UNLINK b
        UNLINK
        DBSIZE
        DBSIZE x
        FLUSHDB
        FLUSHDB FOO
        FLUSHDB ASYNC
        FLUSHALL SYNC
        FLUSHALL A B
        DBSIZE
        SCAN 0
        SCAN abc
        SCAN 0 COUNT 0
        SCAN 0 COUNT abc
        SCAN 0 FOO
        SCAN 0 MATCH
        SCAN 0 MATCH x COUNT 10
        SCAN 0 TYPE hash
        SCAN
        SCAN -1
        SCAN 0 TYPE
        SELECT 1
        SELECT 15
        SELECT 16
        SELECT -1
        SELECT abc
        SELECT
        SELECT 0
        CLIENT
        CLIENT FOO
        CLIENT ID x
        CLIENT GETNAME
        CLIENT SETNAME foo
        CLIENT GETNAME
        CLIENT SETNAME "a b"
        CLIENT SETNAME
        CLIENT GETNAME x
        CLIENT NO-EVICT on
        CLIENT NO-EVICT foo
        CLIENT NO-EVICT
        CLIENT LIST TYPE foo
        CLIENT LIST FOO
        CLIENT REPLY foo
        CLIENT REPLY ON
        COMMAND FOO
        COMMAND COUNT x
        COMMAND INFO nosuch
        COMMAND DOCS nosuch
        CONFIG GET
        CONFIG GET nosuch
        CONFIG GET save
        CONFIG GET appendonly
        CONFIG FOO
        CONFIG
        DEBUG
        DEBUG SLEEP 0
        MEMORY
        MEMORY USAGE
        MEMORY USAGE nokey
        MEMORY FOO
        MEMORY USAGE a SAMPLES
        MEMORY USAGE a SAMPLES x
        MEMORY USAGE a FOO 1
        AUTH
        AUTH a
        AUTH default x
        AUTH foo bar
        AUTH a b c
        HELLO 4
        HELLO abc
        HELLO 3 AUTH
        HELLO 3 FOO
        HELLO 3 SETNAME
        HELLO 3 AUTH foo bar
        HELLO 3 SETNAME "a b"
        FOO
        FOO a b c
        foo a "b c" d
        "" a
        RESET
        RESET x
        QUIT x y
        """

    static let thirdVersionRequests = """
        HELLO 3
        GET nokey
        MGET nokey nokey2
        CONFIG GET save
        COMMAND INFO nosuch
        COMMAND DOCS nosuch
        CLIENT GETNAME
        MEMORY USAGE nokey
        SCAN 0
        SET x y GET
        SET x y NX
        RESET
        GET nokey
        HELLO 2
        HELLO
        """

    /// Bytes that are no well-formed request, each on a connection of its own.
    static let rawInputs = [
        "*0\r\nPING\r\n", "\r\n\r\nPING\r\n", "*-1\r\nPING\r\n", "PING \"a\r\n", "PING 'a'b\r\n",
        "*1\r\n$abc\r\n",
        "*1\r\nPING\r\n", "*1\r\n$-1\r\n", "*abc\r\n", "*99999999999\r\n", "*1\r\n$536870913\r\n",
        "*2\r\n$4\r\nECHO\r\n+5\r\n", "*1\r\n:1\r\n", "PING\n", "set k \"\\x41\\n\"\r\nget k\r\n",
        "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", String(repeating: "x", count: 70_000),
        "GET k\u{FFFD}\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        "*1\r\n$6\r\nfoo\r\nx\r\n",
    ]

    private func words(_ line: Substring) -> [[UInt8]] {
        var words: [[UInt8]] = []
        for (index, part) in line.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            if index.isMultiple(of: 2) {
                words += part.split(separator: " ").map { Array($0.utf8) }
            } else {
                words.append(Array(part.utf8))
            }
        }
        return words
    }

    /// HELLO tells each connection its own number.
    private func withoutConnectionNumber(_ reply: String) -> String {
        guard let mark = reply.range(of: "$2\r\nid\r\n:") else { return reply }
        return String(reply[..<mark.upperBound]) + String(reply[mark.upperBound...].drop { $0.isNumber })
    }

    @Test("for requests and errors of every standard verb, in both versions", arguments: [2, 3])
    func table(_ version: Int) async throws {
        let requests = version == 2 ? Self.requests : Self.thirdVersionRequests
        let directory = try TemporaryDirectory()
        let redis = try RedisServerProcess(
            executable: RedisServerProcess.executable ?? "",
            directory: directory.path
        )
        try await TestNode.with { node in
            let ours = try node.connectLocally()
            let theirs = try WireClient(path: redis.path)
            for line in requests.split(separator: "\n") {
                let words = words(line)
                try ours.request(bytes: words)
                try theirs.request(bytes: words)
                let (our, their) = (try ours.receiveReply(), try theirs.receiveReply())
                #expect(withoutConnectionNumber(our) == withoutConnectionNumber(their), "\(line)")
            }
        }
        withExtendedLifetime(redis) {}
    }

    @Test("for inline requests and broken ones")
    func raw() async throws {
        let directory = try TemporaryDirectory()
        let redis = try RedisServerProcess(
            executable: RedisServerProcess.executable ?? "",
            directory: directory.path
        )
        try await TestNode.with { node in
            for input in Self.rawInputs {
                let ours = try node.connectLocally()
                let theirs = try WireClient(path: redis.path)
                try ours.send(input)
                try theirs.send(input)
                let (our, their) = (
                    try ours.receiveWithin(milliseconds: 60), try theirs.receiveWithin(milliseconds: 60)
                )
                #expect(our == their, "\(input.prefix(60).debugDescription)")
                #expect(!our.isEmpty, "\(input.prefix(60).debugDescription)")
            }
        }
        withExtendedLifetime(redis) {}
    }
}
