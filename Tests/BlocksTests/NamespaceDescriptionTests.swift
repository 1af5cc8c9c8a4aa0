import Blocks
import Testing

@Suite("Namespace description")
struct NamespaceDescriptionTests {
    @Test("the id is the SHA-256 of the canonical text, whatever the spelling")
    func identity() throws {
        let canonical = #"{"dtype":"bfloat16","model":"m","tokens_per_block":16}"#
        let described = try describe(canonical)
        #expect(
            described.id.description == "c5a0515cc687ac07c657e39fc6a6e5a2357b28779e4d0b444e4c58d85737f419"
        )
        #expect(described.canonicalBytes == Array(canonical.utf8))
        let respelled = try describe(#" {"tokens_per_block":16, "model":"\u006d", "dtype":"bfloat16"} "#)
        #expect(respelled.id == described.id)
        #expect(respelled == described)
    }

    @Test("the fields we know can be read")
    func fields() throws {
        let described = try describe(
            #"{"dtype":"torch.float16","layout":"lkthd","model":"m","revision":"r","tokens_per_block":16}"#
        )
        #expect(described.model == "m")
        #expect(described.revision == "r")
        #expect(described.elementType == .float16)
        #expect(described.tokensPerBlock == 16)
        #expect(described.layout == "lkthd")
        let empty = try describe("{}")
        #expect(empty.model == nil)
        #expect(empty.elementType == .unspecified)
        #expect(empty.tokensPerBlock == nil)
        #expect(try describe(#"{"dtype":"posit16"}"#).elementType == .unspecified)
    }

    @Test("a name that we do not know is part of the identity")
    func unknownNames() throws {
        let described = try describe(#"{"model":"m","vendor":{"rope":[1,true,"x"]}}"#)
        #expect(described.id != (try describe(#"{"model":"m"}"#).id))
        #expect(described.object["vendor"] != nil)
    }

    @Test(
        "a known name with a value of another kind is refused",
        arguments: [
            #"{"model":1}"#, #"{"dtype":true}"#, #"{"tokens_per_block":"16"}"#, #"{"tokens_per_block":0}"#,
            #"{"tensor_parallel_rank":-1}"#, #"{"tensor_parallel_size":0}"#, #"{"cache_salt":[]}"#, #"[]"#,
            #""model""#, #"{"model":"a","model":"b"}"#, #"{"model":null}"#,
        ]
    )
    func wrongKinds(text: String) {
        let error = #expect(throws: CacheError.self) { try describe(text) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("a description built from parts is the one read from text")
    func built() throws {
        let built = try NamespaceDescription(
            model: "m",
            revision: "r",
            elementType: .bfloat16,
            tokensPerBlock: 16,
            layout: "l",
            others: [
                JSONObject.Member("engine", .string("larder")),
                JSONObject.Member("tensor_parallel_rank", .integer(0)),
            ]
        )
        let text =
            #"{"dtype":"bfloat16","engine":"larder","layout":"l","model":"m","revision":"r","#
            + #""tensor_parallel_rank":0,"tokens_per_block":16}"#
        #expect(String(decoding: built.canonicalBytes, as: UTF8.self) == text)
        #expect(built.elementType == .bfloat16)
        #expect(throws: CacheError.self) {
            try NamespaceDescription(
                model: "m",
                revision: "r",
                elementType: .bfloat16,
                tokensPerBlock: 16,
                layout: "l",
                others: [JSONObject.Member("model", .string("n"))]
            )
        }
    }

    private func describe(_ text: String) throws(CacheError) -> NamespaceDescription {
        try NamespaceDescription(json: Array(text.utf8))
    }
}

@Suite("Namespace ID")
struct NamespaceIDTests {
    @Test("64 hexadecimal digits of either case name 32 bytes, and are written in lower case")
    func hexadecimal() throws {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1EfF"
        let id = try #require(NamespaceID(hexadecimal: text.utf8))
        #expect(id.bytes == Array(0..<31) + [255])
        #expect(id.description == text.lowercased())
        #expect(NamespaceID(hexadecimal: text.utf8.lazy.map { $0 }) == id)
        #expect(id == NamespaceID(bytes: Array(0..<31) + [255]))
        #expect(id != NamespaceID(bytes: Array(0..<31) + [254]))
    }

    @Test("anything but 64 digits or 32 bytes is no id")
    func malformed() {
        let digits = String(repeating: "a", count: 63)
        for text in ["", digits, digits + "g", digits + "aa", digits + " ", "0x" + digits.dropFirst()] {
            #expect(NamespaceID(hexadecimal: text.utf8) == nil)
        }
        #expect(NamespaceID(bytes: Array(0..<31)) == nil)
        #expect(NamespaceID(bytes: Array(0..<33)) == nil)
    }

    @Test("reserved names have ids of their own, apart from any description")
    func reserved() throws {
        #expect(NamespaceID(ofReservedName: "a") == NamespaceID(ofReservedName: "a"))
        #expect(NamespaceID(ofReservedName: "a") != NamespaceID(ofReservedName: "b"))
        #expect(NamespaceID(ofReservedName: "{}") != (try NamespaceDescription(json: Array("{}".utf8)).id))
    }
}
