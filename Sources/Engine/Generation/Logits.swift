internal import Crypto

/// A model's verdict on the next token: one logit per token of the vocabulary.
package struct Logits: Sendable, Hashable {
    /// The logits, by token.
    package let values: [Float]

    init(_ values: [Float]) { self.values = values }

    /// SHA-256 of the logits' bits (float32, little endian), 64 hexadecimal digits: equal digests, equal computation.
    package var digest: String {
        var hash = SHA256()
        let bits = values.map(\.bitPattern.littleEndian)
        unsafe bits.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        return hexadecimal(hash.finalize())
    }
}
