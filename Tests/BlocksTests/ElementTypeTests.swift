import Blocks
import Testing

@Suite("Element type")
struct ElementTypeTests {
    @Test(
        "the names that engines use are understood",
        arguments: [
            ("bfloat16", .bfloat16), ("BF16", .bfloat16), ("torch.bfloat16", .bfloat16),
            ("float16", .float16),
            ("half", .float16), ("torch.float16", .float16), ("float32", .float32), ("float", .float32),
            ("fp8_e4m3fn", .float8e4m3), ("fp8", .float8e4m3), ("fp8_e5m2", .float8e5m2), ("int8", .int8),
            ("auto", .unspecified), ("", .unspecified), ("bfloat16 ", .unspecified),
        ] as [(String, ElementType)]
    )
    func names(name: String, type: ElementType) {
        #expect(ElementType(name: name) == type)
    }

    @Test("a type's own name names it", arguments: ElementType.allCases)
    func ownName(type: ElementType) {
        #expect(ElementType(name: type.name) == type)
    }

    @Test("values on disk and sizes in bytes stay as they are")
    func values() {
        #expect(ElementType.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6])
        #expect(ElementType.allCases.map(\.byteCount) == [1, 2, 2, 4, 1, 1, 1])
        #expect(PayloadCodec.allCases.map(\.rawValue) == [0, 1, 2, 3])
    }
}
