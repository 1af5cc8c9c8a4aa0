import RESP
import TestSupport
import Testing

@Suite("Reply parser")
struct ReplyParserTests {
    private static let replies: [(wire: String, reply: Reply)] = [
        ("+OK\r\n", .status("OK")),
        ("+\r\n", .status("")),
        ("-ERR unknown command 'x'\r\n", .failure(ReplyFailure("ERR unknown command 'x'"))),
        (":0\r\n", .integer(0)),
        (":-42\r\n", .integer(-42)),
        (":+7\r\n", .integer(7)),
        (":9223372036854775807\r\n", .integer(.max)),
        (":-9223372036854775808\r\n", .integer(.min)),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("_\r\n", .null),
        ("$0\r\n\r\n", .bulk([])),
        ("$5\r\na\r\nb\r\r\n", .bulk(Array("a\r\nb\r".utf8))),
        ("*0\r\n", .array([])),
        ("*2\r\n$1\r\na\r\n$-1\r\n", .array([.bulk([97]), .null])),
        (
            "*3\r\n:1\r\n*2\r\n+a\r\n*0\r\n:2\r\n",
            .array([.integer(1), .array([.status("a"), .array([])]), .integer(2)])
        ),
        ("~1\r\n#t\r\n", .array([.boolean(true)])),
        ("%1\r\n+a\r\n:1\r\n", .map([.status("a"), .integer(1)])),
        (",1.5\r\n", .double(1.5)),
        (",-inf\r\n", .double(-.infinity)),
        ("#f\r\n", .boolean(false)),
        ("(123456789012345678901234567890\r\n", .bigNumber("123456789012345678901234567890")),
        ("=7\r\ntxt:abc\r\n", .bulk(Array("abc".utf8))),
        ("!8\r\nERR a\r\nb\r\n", .failure(ReplyFailure("ERR a\r\nb"))),
        ("|1\r\n+ttl\r\n*1\r\n$3\r\nabc\r\n:5\r\n", .integer(5)),
        ("*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n", .array([.integer(1), .integer(2)])),
        (">3\r\n+message\r\n$2\r\nhi\r\n%1\r\n+a\r\n+b\r\n+OK\r\n", .status("OK")),
        ("|0\r\n>0\r\n+OK\r\n", .status("OK")),
    ]

    @Test("each kind of reply is read, whatever the two pieces it comes in", arguments: replies)
    func everySplit(wire: String, reply: Reply) throws {
        let bytes = Array(wire.utf8)
        for split in 0...bytes.count {
            #expect(try read([bytes[..<split], bytes[split...]]) == [reply])
        }
    }

    @Test("each kind of reply is read byte by byte, and the next reply after it", arguments: replies)
    func everyByte(wire: String, reply: Reply) throws {
        let bytes = Array((wire + ":1\r\n").utf8)
        #expect(try read(bytes.indices.map { bytes[$0...$0] }) == [reply, .integer(1)])
    }

    @Test("a stream of all replies is read in random pieces", arguments: [1 as UInt64, 2, 3, 4, 5])
    func pipeline(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var rest = Array(Self.replies.map(\.wire).joined().utf8)[...]
        var pieces: [ArraySlice<UInt8>] = []
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...9, using: &random))
            pieces.append(piece)
            rest = rest.dropFirst(piece.count)
        }
        #expect(try read(pieces) == Self.replies.map(\.reply))
    }

    private static let malformed: [String] = [
        "HTTP/1.1 400 Bad Request\r\n", "\r\n", "\0", ":\r\n", ":1x\r\n", ":9223372036854775808\r\n",
        ":--1\r\n",
        ":1 \r\n", "$-2\r\n", "$x\r\n", "$536870913\r\n", "$3\r\nabcd\r\n", "$3\r\nabc\n", "*-2\r\n",
        "*1048577\r\n",
        "%524289\r\n", "%9223372036854775807\r\n", "#x\r\n", ",x\r\n", "=3\r\ntxt\r\n", "=-1\r\n", "!-1\r\n",
        "+OK\n", "*1\r\n>1\r\n+a\r\n+b\r\n", "$18446744073709551616\r\n", "*99999999999999999999999\r\n",
        String(repeating: "*1\r\n", count: 9), "*1000000\r\n*1000000\r\n",
        "+\(String(repeating: "a", count: 17_000))",
        "!17000\r\n", "$?\r\n",
    ]

    @Test("what is no reply or beyond a limit is an error, never a trap", arguments: malformed.indices)
    func malformedReply(index: Int) {
        let bytes = Array(Self.malformed[index].utf8)
        #expect(throws: ReplyProtocolError.self) { try read([bytes[...]]) }
        #expect(throws: ReplyProtocolError.self) { try read(bytes.indices.map { bytes[$0...$0] }) }
    }

    @Test("damaged replies end in a reply, an error or a wish for more", arguments: [7 as UInt64, 8, 9])
    func damage(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let whole = Array(Self.replies.map(\.wire).joined().utf8)
        for _ in 0..<3_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(
                    in: 0...255,
                    using: &random
                )
            }
            _ = try? read([bytes[...]])
        }
    }

    @Test("a payload can be received elsewhere in part or whole", arguments: [0, 1, 4, 9, 10])
    func receivedElsewhere(count: Int) throws {
        var parser = ReplyParser()
        var events: [ReplyEvent] = []
        try feed(&parser, Array("*2\r\n$10\r\n".utf8), &events)
        #expect(parser.bulkRemainingByteCount == 10)
        parser.receivedBulkBytes(count)
        #expect(parser.bulkRemainingByteCount == 10 - count)
        try feed(&parser, Array(repeating: 120, count: 10 - count) + Array("\r\n:1\r\n".utf8), &events)
        let pieces: [ReplyEvent] = count < 10 ? [.bulkPiece(0..<(10 - count))] : []
        #expect(
            events == [.aggregateBegins(kind: .array, count: 2), .bulkBegins(byteCount: 10)] + pieces
                + [.bulkEnds, .integer(1)]
        )
        #expect(parser.isBetweenReplies)
    }

    @Test("payload bytes are announced only inside a payload, and more than announced are not believed")
    func announcedOnly() throws {
        var parser = ReplyParser()
        var events: [ReplyEvent] = []
        parser.receivedBulkBytes(5)
        #expect(parser.bulkRemainingByteCount == 0)
        try feed(&parser, Array(">1\r\n$4\r\n".utf8), &events)
        #expect(parser.bulkRemainingByteCount == 0)
        try feed(&parser, Array("abcd\r\n$4\r\n".utf8), &events)
        #expect(parser.bulkRemainingByteCount == 4)
        parser.receivedBulkBytes(1_000)
        try feed(&parser, Array("\r\n".utf8), &events)
        #expect(events == [.bulkBegins(byteCount: 4), .bulkEnds])
    }

    @Test("a reply tree holds no more bytes than its builder allows")
    func treeBound() throws {
        var parser = ReplyParser()
        var builder = ReplyBuilder(byteCountMax: 6)
        #expect(throws: ReplyProtocolError.self) {
            _ = try build(&parser, &builder, Array("*2\r\n$4\r\nabcd\r\n$3\r\nabc\r\n".utf8))
        }
    }

    // MARK: Feeding

    private func read(_ pieces: [ArraySlice<UInt8>]) throws -> [Reply] {
        var parser = ReplyParser()
        var builder = ReplyBuilder()
        var rest: [UInt8] = []
        var replies: [Reply] = []
        for piece in pieces {
            rest += piece
            let (found, consumed) = try build(&parser, &builder, rest)
            replies += found
            rest.removeFirst(consumed)
        }
        return replies
    }

    private func build(
        _ parser: inout ReplyParser,
        _ builder: inout ReplyBuilder,
        _ bytes: [UInt8]
    ) throws -> (replies: [Reply], consumed: Int) {
        var consumed = 0
        var replies: [Reply] = []
        let span = unsafe bytes.span.bytes
        while let event = try parser.next(span, consumed: &consumed) {
            let reply = try builder.add(event, of: span)
            if let reply { replies.append(reply) }
            #expect(parser.isBetweenReplies == (reply != nil))
        }
        return (replies, consumed)
    }

    private func feed(_ parser: inout ReplyParser, _ bytes: [UInt8], _ events: inout [ReplyEvent]) throws {
        var consumed = 0
        let span = unsafe bytes.span.bytes
        while let event = try parser.next(span, consumed: &consumed) { events.append(event) }
        #expect(consumed == bytes.count)
    }
}
