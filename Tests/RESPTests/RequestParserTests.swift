import NIOCore
import RESP
import Testing

/// What a whole input leads to, independent of how it was cut.
enum Seen: Equatable, CustomStringConvertible {
    case request([String])
    case payloadBegins(Int, Int)
    case payloadEnds(Int)
    case error(String)

    var description: String {
        switch self {
        case .request(let words): "request \(words)"
        case .payloadBegins(let index, let count): "payload \(index) of \(count)"
        case .payloadEnds(let index): "end of payload \(index)"
        case .error(let text): "error \(text)"
        }
    }
}

/// Feeds `bytes` in the given pieces and lists what the parser saw.
func parse(_ bytes: [UInt8], pieces: [Int], limits: RequestLimits = RequestLimits()) -> [Seen] {
    var parser = RequestParser(limits: limits)
    var seen: [Seen] = []
    var start = 0
    for end in pieces + [bytes.count] {
        var input = ByteBuffer(bytes: bytes[start..<end])
        start = end
        while true {
            let taken = min(parser.payloadRemaining, input.readableBytes)
            if taken > 0 {
                input.moveReaderIndex(forwardBy: taken)
                parser.payloadAdvanced(by: taken)
            }
            do {
                switch try parser.next(&input) {
                case .needsMore:
                    if input.readableBytes > 0 { continue }
                case .request:
                    seen.append(.request((0..<parser.arguments.count).map { parser.arguments.text(at: $0) }))
                    continue
                case .payloadBegins(let index, let byteCount):
                    seen.append(.payloadBegins(index, byteCount))
                    continue
                case .payloadEnds(let index):
                    seen.append(.payloadEnds(index))
                    continue
                }
            } catch {
                seen.append(.error(error.message))
                return seen
            }
            break
        }
    }
    return seen
}

@Suite("Requests are read")
struct RequestParserTests {
    static let small = RequestLimits(
        argumentCountMax: 8,
        bulkByteCountMax: 100,
        lineByteCountMax: 40,
        smallByteCountMax: 10,
        collectedByteCountMax: 30
    )

    struct Case: Sendable, CustomTestStringConvertible {
        var input: String
        var expected: [Seen]
        var testDescription: String { input.debugDescription }
    }

    static let cases: [Case] = [
        Case(input: "PING\r\n", expected: [.request(["PING"])]),
        Case(input: "PING\n", expected: [.request(["PING"])]),
        Case(
            input: "  set  a 'b c'  \r\n\r\n\nGET a\r\n",
            expected: [.request(["set", "a", "b c"]), .request(["GET", "a"])]
        ),
        Case(input: "a \"x\\x41\\n\\\"\" 'it\\'s'\r\n", expected: [.request(["a", "xA\n\"", "it's"])]),
        Case(input: "a \"b\r\n", expected: [.error("ERR Protocol error: unbalanced quotes in request")]),
        Case(input: "a 'b'c\r\n", expected: [.error("ERR Protocol error: unbalanced quotes in request")]),
        Case(
            input: String(repeating: "x", count: 41) + "\r\n",
            expected: [.error("ERR Protocol error: too big inline request")]
        ),
        Case(input: "*1\r\n$4\r\nPING\r\n", expected: [.request(["PING"])]),
        Case(input: "*0\r\n*-5\r\n*1\r\n$0\r\n\r\n", expected: [.request([""])]),
        Case(
            input: "*2\r\n$3\r\nGET\r\n$2\r\nab\r\n*1\r\n$4\r\nPING\r\n",
            expected: [.request(["GET", "ab"]), .request(["PING"])]
        ),
        Case(
            input: "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$11\r\n01234567890\r\n$2\r\nNX\r\n",
            expected: [.payloadBegins(2, 11), .payloadEnds(2), .request(["SET", "k", "", "NX"])]
        ),
        Case(
            input: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$11\r\n01234567890\r\nPING\r\n",
            expected: [
                .payloadBegins(2, 11), .payloadEnds(2), .request(["SET", "k", ""]), .request(["PING"]),
            ]
        ),
        Case(input: "*1\r\n$101\r\n", expected: [.error("ERR Protocol error: invalid bulk length")]),
        Case(input: "*1\r\n$-1\r\n", expected: [.error("ERR Protocol error: invalid bulk length")]),
        Case(input: "*1\r\n$a\r\n", expected: [.error("ERR Protocol error: invalid bulk length")]),
        Case(input: "*1\r\n$04\r\nPING\r\n", expected: [.error("ERR Protocol error: invalid bulk length")]),
        Case(input: "*1\r\n$\r\n", expected: [.error("ERR Protocol error: invalid bulk length")]),
        Case(
            input: "*1\r\n$99999999999999999999\r\n",
            expected: [.error("ERR Protocol error: invalid bulk length")]
        ),
        Case(input: "*9\r\n", expected: [.error("ERR Protocol error: invalid multibulk length")]),
        Case(
            input: "*9223372036854775808\r\n",
            expected: [.error("ERR Protocol error: invalid multibulk length")]
        ),
        Case(input: "*1\rx", expected: [.error("ERR Protocol error: invalid multibulk length")]),
        Case(input: "*1\r\nPING\r\n", expected: [.error("ERR Protocol error: expected '$', got 'P'")]),
        Case(
            input: "*1\r\n$4\r\nPINGxx",
            expected: [.error("ERR Protocol error: expected CRLF after a bulk string")]
        ),
        Case(
            input: "*1\r\n$11\r\n01234567890xx",
            expected: [
                .payloadBegins(0, 11), .error("ERR Protocol error: expected CRLF after a bulk string"),
            ]
        ),
        Case(
            input: "*4\r\n" + String(repeating: "$10\r\n0123456789\r\n", count: 4),
            expected: [.error("ERR Protocol error: too many bytes in small arguments")]
        ),
    ]

    @Test("a large request that is answered leaves no memory behind, a small one keeps its own")
    func releasesArguments() throws {
        var parser = RequestParser()
        parser.isAuthenticated = true
        func take(_ count: Int) throws {
            var text = "*\(count)\r\n"
            for index in 0..<count { text += "$8\r\nkey\(10_000 + index)\r\n" }
            var input = ByteBuffer(string: text)
            while true {
                if try parser.next(&input) == .request { return }
            }
        }
        try take(10)
        parser.releaseArguments()
        #expect(parser.arguments.count == 10)
        try take(20_000)
        #expect(parser.arguments.storage.capacity > 100_000)
        parser.releaseArguments()
        #expect(parser.arguments.storage.capacity <= 4_096 && parser.arguments.count == 0)
        try take(3)
        #expect(parser.arguments.count == 3)
    }

    @Test("the same way however the input is cut", arguments: cases)
    func table(_ example: Case) {
        let bytes = Array(example.input.utf8)
        #expect(parse(bytes, pieces: [], limits: Self.small) == example.expected)
        for cut in bytes.indices {
            #expect(parse(bytes, pieces: [cut], limits: Self.small) == example.expected, "cut at \(cut)")
        }
        #expect(
            parse(bytes, pieces: Array(bytes.indices), limits: Self.small) == example.expected,
            "byte by byte"
        )
    }

    @Test("and a failed parser stays failed")
    func staysFailed() {
        var parser = RequestParser()
        var input = ByteBuffer(string: "*x")
        #expect(throws: RequestError.self) { try parser.next(&input) }
        var more = ByteBuffer(string: "PING\r\n")
        #expect(throws: RequestError.self) { try parser.next(&more) }
    }

    @Test("within Redis's narrow bounds before authentication")
    func unauthenticated() {
        func outcome(_ text: String) -> String {
            var parser = RequestParser()
            parser.isAuthenticated = false
            var input = ByteBuffer(string: text)
            do { return "\(try parser.next(&input))" } catch { return error.message }
        }
        #expect(outcome("*11\r\n") == "ERR Protocol error: unauthenticated multibulk length")
        #expect(outcome("*10\r\n") == "needsMore")
        #expect(outcome("*2\r\n$16385\r\n") == "ERR Protocol error: unauthenticated bulk length")
        #expect(outcome("*2\r\n$16384\r\n") == "needsMore")
    }

    @Test("with 512 MiB as the longest bulk string, announced before a byte of it is there")
    func announced() throws {
        var parser = RequestParser()
        var input = ByteBuffer(string: "*2\r\n$4\r\nECHO\r\n$536870912\r\n")
        #expect(try parser.next(&input) == .payloadBegins(index: 1, byteCount: 512 << 20))
        #expect(parser.payloadRemaining == 512 << 20)
        var over = RequestParser()
        var tooLong = ByteBuffer(string: "*2\r\n$4\r\nECHO\r\n$536870913\r\n")
        #expect(throws: RequestError.self) { try over.next(&tooLong) }
    }
}
