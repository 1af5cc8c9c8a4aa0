import Blocks
import TestSupport
import Testing

@Suite("Canonical JSON")
struct CanonicalJSONTests {
    @Test(
        "any spelling of a value becomes the one canonical spelling",
        arguments: [
            (#" { "b" : 1 , "a" : [ true , false , -0 , "x" ] } "#, #"{"a":[true,false,0,"x"],"b":1}"#),
            ("{}", "{}"), ("[]", "[]"), ("\t[ ]\r\n", "[]"), ("true", "true"), (#""""#, #""""#),
            ("9007199254740991", "9007199254740991"), ("-9007199254740991", "-9007199254740991"),
            (#""\u0041\/\u00e9\ud83d\ude00""#, #""A/é😀""#),
            (#""\u0000\u0007\u000b\u001F\u007f""#, "\"\\u0000\\u0007\\u000b\\u001f\u{7F}\""),
            (#""\u0008\u0009\u000a\u000c\u000d\u0022\u005c""#, #""\b\t\n\f\r\"\\""#),
            (#""\b\t\n\f\r\"\\""#, #""\b\t\n\f\r\"\\""#),
        ]
    )
    func spelling(text: String, canonical: String) throws {
        let value = try CanonicalJSON.parse(Array(text.utf8))
        #expect(try String(decoding: CanonicalJSON.serialize(value), as: UTF8.self) == canonical)
        #expect(try CanonicalJSON.parse(Array(canonical.utf8)) == value)
    }

    @Test("names are sorted by UTF-16 code units, as in the example of RFC 8785")
    func order() throws {
        let text = #"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#
        let canonical =
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{F6}\":7,\"\u{20AC}\":1,\"\u{1F600}\":5,\"\u{FB33}\":3}"
        let value = try CanonicalJSON.parse(Array(text.utf8))
        #expect(try String(decoding: CanonicalJSON.serialize(value), as: UTF8.self) == canonical)
    }

    @Test("names that look alike but have other code units are different")
    func normalization() throws {
        let text = "{\"\u{E9}\":1,\"e\u{301}\":2}"
        let value = try CanonicalJSON.parse(Array(text.utf8))
        #expect(try CanonicalJSON.serialize(value) == Array("{\"e\u{301}\":2,\"\u{E9}\":1}".utf8))
        #expect(JSONValue.string("\u{E9}") != JSONValue.string("e\u{301}"))
    }

    @Test(
        "what is not allowed is refused, with the byte where it stands",
        arguments: [
            ("", 0), ("  ", 2), (#"{"a":null}"#, 5), ("[1.5]", 2), ("[1e3]", 2), ("[1E3]", 2), ("[01]", 1),
            ("[-]", 2), ("[-01]", 2), ("[+1]", 1), ("[9007199254740992]", 1), ("[-9007199254740992]", 1),
            ("[99999999999999999999999999]", 1), ("[1]x", 3), ("[1] 2", 4), ("[1,]", 3), (#"{"a":1,}"#, 7),
            ("{a:1}", 1), (#"{"a" 1}"#, 5), (#"{"a":1 "b":2}"#, 7), ("[1 2]", 3), ("[tru]", 1), ("[nul]", 1),
            (#""a"#, 2), ("\"a\nb\"", 2), (#""\x""#, 1), (#""\u12g4""#, 1), (#""\ud800""#, 1),
            (#""\udc00""#, 1),
            (#""\ud800\u0041""#, 1), (#""ab\ud83dx""#, 3), ("\u{FEFF}{}", 0), ("'a'", 0), (#"{"a":1"#, 6),
            ("[", 1), (#"[0,{"a":1,"b":2,"\u0061":3}]"#, 3), ("// x\n1", 0), ("NaN", 0), ("\"\\", 2),
        ]
    )
    func refused(text: String, offset: Int) {
        expectRefusal(of: Array(text.utf8), offset: offset)
    }

    @Test("bytes that are not UTF-8 are refused where they stand")
    func encoding() {
        expectRefusal(of: Array("[\"a".utf8) + [0xFF] + Array("\"]".utf8), offset: 3)
        expectRefusal(of: Array("\"".utf8) + [0xED, 0xA0, 0x80] + Array("\"".utf8), offset: 1)
        expectRefusal(of: Array("\"".utf8) + [0xC0, 0x80] + Array("\"".utf8), offset: 1)
        expectRefusal(of: Array("\"".utf8) + [0xE2, 0x82], offset: 1)
    }

    @Test("sixteen containers may nest, seventeen may not")
    func depth() throws {
        let deepest =
            [UInt8](repeating: UInt8(ascii: "["), count: 16)
            + [UInt8](repeating: UInt8(ascii: "]"), count: 16)
        #expect(try CanonicalJSON.serialize(CanonicalJSON.parse(deepest)) == deepest)
        expectRefusal(of: [UInt8](repeating: UInt8(ascii: "["), count: 17), offset: 16)
        expectRefusal(of: Array(String(repeating: #"{"a":"#, count: 17).utf8), offset: 80)
        let value = (0..<16).reduce(JSONValue.array([])) { value, _ in .array([value]) }
        #expect(throws: CacheError.self) { try CanonicalJSON.serialize(value) }
    }

    @Test("a text of 16 KiB is read, one byte more is not")
    func size() throws {
        let longest = "\"" + String(repeating: "a", count: Limits.descriptionByteCountMax - 2) + "\""
        #expect(
            try CanonicalJSON.parse(Array(longest.utf8)) == .string(String(longest.dropFirst().dropLast()))
        )
        #expect(throws: CacheError.self) { try CanonicalJSON.parse(Array(longest.utf8) + [0x20]) }
        let long = JSONValue.string(String(repeating: "a", count: Limits.descriptionByteCountMax - 1))
        #expect(throws: CacheError.self) { try CanonicalJSON.serialize(long) }
    }

    @Test("integers that not every program reads exactly are not written")
    func integers() throws {
        #expect(throws: CacheError.self) { try CanonicalJSON.serialize(.integer(1 << 53)) }
        #expect(throws: CacheError.self) { try CanonicalJSON.serialize(.integer(.min)) }
        #expect(try CanonicalJSON.serialize(.integer(1 - (1 << 53))) == Array("-9007199254740991".utf8))
    }

    @Test("messages show no control characters of the text they refuse")
    func messages() throws {
        let error = try #require(throws: CacheError.self) {
            try CanonicalJSON.parse(Array(#"{"a\r\n-ERR":1,"a\r\n-ERR":2}"#.utf8))
        }
        #expect(error.message == #"JSON, byte 0: the name "a\r\n-ERR" is there twice in one object"#)
    }

    @Test("random bytes are refused or read, and what is read has one spelling")
    func randomTexts() throws {
        var random = SeededRandom(seed: 20_260_727)
        let alphabet = Array(#"{}[]:,"\\u0189aef-tru .l"#.utf8)
        var readCount = 0
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            guard let value = try? CanonicalJSON.parse(text) else { continue }
            readCount += 1
            let canonical = try CanonicalJSON.serialize(value)
            #expect(try CanonicalJSON.parse(canonical) == value)
            #expect(canonical.count <= text.count)
        }
        #expect(readCount > 100)
    }

    private func expectRefusal(
        of bytes: [UInt8],
        offset: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CacheError.self, sourceLocation: sourceLocation) {
            try CanonicalJSON.parse(bytes)
        }
        #expect(error?.code == .invalidArgument, sourceLocation: sourceLocation)
        #expect(
            error?.message.hasPrefix("JSON, byte \(offset): ") == true,
            "\(error?.message ?? "")",
            sourceLocation: sourceLocation
        )
    }
}
