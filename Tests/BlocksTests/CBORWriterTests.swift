import Blocks
import Testing

@Suite("CBOR writer")
struct CBORWriterTests {
    @Test(
        "integers have the shortest head",
        arguments: [
            (0, [0x00]), (23, [0x17]), (24, [0x18, 24]), (255, [0x18, 255]), (256, [0x19, 1, 0]),
            (65_535, [0x19, 255, 255]), (65_536, [0x1A, 0, 1, 0, 0]),
            (4_294_967_295, [0x1A, 255, 255, 255, 255]), (4_294_967_296, [0x1B, 0, 0, 0, 1, 0, 0, 0, 0]),
            (-1, [0x20]), (-24, [0x37]), (-25, [0x38, 24]), (-256, [0x38, 255]), (-257, [0x39, 1, 0]),
            (Int64.min, [0x3B, 127, 255, 255, 255, 255, 255, 255, 255]),
        ] as [(Int64, [UInt8])]
    )
    func integers(value: Int64, expected: [UInt8]) {
        var writer = CBORWriter()
        writer.append(integer: value)
        #expect(writer.bytes == expected)
    }

    @Test("the largest unsigned integer fits")
    func largest() {
        var writer = CBORWriter()
        writer.append(unsigned: .max)
        #expect(writer.bytes == [0x1B] + [UInt8](repeating: 255, count: 8))
    }

    @Test("strings, arrays and null have the heads of RFC 8949")
    func kinds() {
        var writer = CBORWriter()
        writer.beginArray(count: 3)
        unsafe [UInt8(1), 2].withUnsafeBytes { unsafe writer.append(bytes: $0) }
        writer.append(text: "é")
        writer.appendNull()
        #expect(writer.bytes == [0x83, 0x42, 1, 2, 0x62, 0xC3, 0xA9, 0xF6])
        writer.removeAll()
        writer.append(text: String(repeating: "a", count: 24))
        #expect(Array(writer.bytes.prefix(3)) == [0x78, 24, 0x61])
    }
}
