/// A verb's name folded to lower case in two words, so that looking it up costs no allocation.
struct CommandName: Hashable, Sendable {
    private let words: SIMD2<UInt64>

    /// Takes 1 to 16 bytes; `nil` otherwise, since no verb is longer.
    init?(_ bytes: Span<UInt8>) {
        guard (1...16).contains(bytes.count) else { return nil }
        var words = SIMD2<UInt64>()
        for index in bytes.indices {
            let byte = bytes[index]
            let folded = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
            words[index >> 3] |= UInt64(folded) << UInt64((index & 7) * 8)
        }
        self.words = words
    }

    /// Takes a name from the table.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        self.init(bytes.span)
    }
}
