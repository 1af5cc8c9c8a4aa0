import NIOCore
import RESP
import Testing

@Suite("Replies are written")
struct ReplyEncoderTests {
    private func text(_ version: ProtocolVersion, _ write: (inout ReplyEncoder) -> Void) -> String {
        var encoder = ReplyEncoder()
        encoder.version = version
        write(&encoder)
        return String(buffer: encoder.buffer)
    }

    @Test("in both versions' forms")
    func forms() {
        func expect(_ two: String, _ three: String, _ write: (inout ReplyEncoder) -> Void) {
            #expect(text(.two, write) == two)
            #expect(text(.three, write) == three)
        }
        expect("+OK\r\n", "+OK\r\n") { $0.simple("OK") }
        expect("-ERR a b\r\n", "-ERR a b\r\n") { $0.error("ERR a\nb") }
        expect(
            ":9223372036854775807\r\n:-9223372036854775808\r\n",
            ":9223372036854775807\r\n:-9223372036854775808\r\n"
        ) {
            $0.integer(.max)
            $0.integer(.min)
        }
        expect(":0\r\n:-12\r\n:1234567\r\n", ":0\r\n:-12\r\n:1234567\r\n") {
            $0.integer(0)
            $0.integer(-12)
            $0.integer(1_234_567)
        }
        expect("$5\r\nhello\r\n", "$5\r\nhello\r\n") { $0.bulk("hello") }
        expect("$-1\r\n*-1\r\n", "_\r\n_\r\n") {
            $0.null()
            $0.nullArray()
        }
        expect("*2\r\n*3\r\n", "*2\r\n~3\r\n") {
            $0.array(2)
            $0.set(3)
        }
        expect("*4\r\n*2\r\n", "%2\r\n>2\r\n") {
            $0.map(2)
            $0.push(2)
        }
        expect(":1\r\n:0\r\n", "#t\r\n#f\r\n") {
            $0.bool(true)
            $0.bool(false)
        }
        expect("$3\r\n1.5\r\n$1\r\n2\r\n$3\r\ninf\r\n", ",1.5\r\n,2\r\n,inf\r\n") {
            $0.double(1.5)
            $0.double(2)
            $0.double(.infinity)
        }
        expect("$4\r\nhelp\r\n", "=8\r\ntxt:help\r\n") { $0.verbatim("help") }
    }
}

@Suite("Globs match")
struct GlobPatternTests {
    @Test(
        "as in Redis",
        arguments: [
            ("*", "", true), ("*", "abc", true), ("a*c", "abbbc", true), ("a*c", "abbbd", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false), ("h[ae]llo", "hallo", true), ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false), ("h[a-b]llo", "hbllo", true), ("h[b-a]llo", "hallo", true),
            ("\\*", "*", true),
            ("\\*", "a", false), ("[a", "a", true), ("", "", true), ("", "a", false), ("a**b", "ab", true),
        ]
    )
    func table(_ pattern: String, _ key: String, _ matches: Bool) {
        #expect(GlobPattern(Array(pattern.utf8)).matches(Array(key.utf8)) == matches)
    }

    @Test("in little time, however many stars")
    func bounded() {
        let pattern = GlobPattern(Array(String(repeating: "a*", count: 200).utf8) + [UInt8(ascii: "b")])
        #expect(!pattern.matches([UInt8](repeating: UInt8(ascii: "a"), count: 4000)))
    }
}
