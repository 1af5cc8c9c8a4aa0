internal import ArgumentParser
internal import Blocks

/// A block's key as people type it: text, or `hex:` and hexadecimal digits.
struct BlockKeyArgument: Hashable, Sendable, ExpressibleByArgument {
    /// The key.
    let key: BlockKey

    /// Reads a key; `nil` for an empty or too long one, or for broken hexadecimal digits.
    init?(argument: String) {
        if argument.hasPrefix("hex:") {
            guard let bytes = Hexadecimal.bytes(of: argument.utf8.dropFirst("hex:".count)) else { return nil }
            self.init(bytes: bytes)
        } else {
            self.init(bytes: Array(argument.utf8))
        }
    }

    /// Takes bytes; `nil` for none or more than 512.
    init?(bytes: [UInt8]) {
        guard let key = try? BlockKey(bytes) else { return nil }
        self.key = key
    }

    /// As `init` reads it: text where every byte is a visible ASCII character, hexadecimal otherwise.
    var text: String {
        let isVisible = key.bytes.allSatisfy { (0x21...0x7e).contains($0) }
        let text = String(decoding: key.bytes, as: UTF8.self)
        return isVisible && !text.hasPrefix("hex:") ? text : "hex:" + Hexadecimal.text(of: key.bytes)
    }
}
