import Blocks
import Testing

@Suite("SipHash-2-4-128")
struct SipHash128Tests {
    @Test(
        "the designers' reference vectors: key 00 to 0f, input 00, 01, 02, ...",
        arguments: [
            (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
            (2, "8177228da4a45dc7fca38bdef60affe4"), (7, "a1f1ebbed8dbc153c0b84aa61ff08239"),
            (8, "3b62a9ba6258f5610f83e264f31497b4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
            (16, "6ee2a4ca67b054bbfd3315bf85230577"), (36, "3dc47d1f29c448461e9e76ed904f6711"),
            (63, "5150d1772f50834a503e069a973fbd7c"),
        ]
    )
    func vectors(byteCount: Int, expected: String) throws {
        let digest = hash(
            (0..<byteCount).map { UInt8($0) },
            key: SIMD2(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        )
        let text =
            String(digest.x.byteSwapped, radix: 16).leftPadded
            + String(digest.y.byteSwapped, radix: 16).leftPadded
        #expect(text == expected)
    }

    @Test("another key gives another digest")
    func keyed() {
        #expect(hash([1], key: SIMD2(1, 2)) != hash([1], key: SIMD2(1, 3)))
        #expect(hash([1], key: SIMD2(1, 2)) != hash([1], key: SIMD2(2, 2)))
    }

    private func hash(_ bytes: [UInt8], key: SIMD2<UInt64>) -> SIMD2<UInt64> {
        SipHash128.hash(unsafe bytes.span.bytes, key: key)
    }
}

extension String {
    fileprivate var leftPadded: String { String(repeating: "0", count: 16 - count) + self }
}
