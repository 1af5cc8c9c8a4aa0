import Blocks
import Synchronization
import TestSupport

/// A block whose bytes follow from its number, kind and version.
struct TestBlock: Hashable {
    /// What the payload is like.
    enum Kind: CaseIterable {
        /// Random bytes: nothing can be won.
        case noise
        /// Random mantissas with a bell-shaped exponent, as trained networks have.
        case bfloat16
        /// Short repeats: plain LZ4 wins.
        case text
    }

    let number: Int
    var kind = Kind.noise
    var byteCount = 1_000
    var version = 0
    var prefix = KeyPrefix(words: SIMD2(7, 11))
    var expiresAt: UInt64 = 0
    var pinnedUntil: UInt64 = 0

    var key: [UInt8] { Array("block-\(number)".utf8) }
    var identity: BlockIdentity { BlockIdentity(prefix: prefix, key: unsafe key.span.bytes) }
    var elementType: ElementType { kind == .bfloat16 ? .bfloat16 : .unspecified }

    /// The bytes; made once and kept, because tests compare them again and again.
    var payload: [UInt8] {
        if let known = Self.made.withLock({ $0[self] }) { return known }
        let fresh = makePayload()
        Self.made.withLock { made in
            if made.count > 300 { made.removeAll() }
            made[self] = fresh
        }
        return fresh
    }

    private static let made = Mutex<[TestBlock: [UInt8]]>([:])

    private func makePayload() -> [UInt8] {
        var random = SeededRandom(seed: UInt64(number) << 8 | UInt64(version))
        // Repeats lie further apart than LZ4 looks back, in the byte planes too.
        var pattern = Self.noise(min(byteCount, 300_000), &random)
        switch kind {
        case .noise: break
        case .bfloat16:
            // The high byte of each pair: sign, then seven bits of an exponent that is mostly one of four.
            for offset in stride(from: 1, to: pattern.count, by: 2) {
                let byte = pattern[offset]
                pattern[offset] = (byte & 0x80) | (0x3C + UInt8((byte & 0x7F).leadingZeroBitCount) & 3)
            }
        case .text:
            let words = ["prefix ", "block ", "lease ", "tier ", "arena ", "segment "].map { Array($0.utf8) }
            let choices = pattern.prefix(20_000)
            pattern = Array(choices.flatMap { words[Int($0) % words.count] }.prefix(byteCount))
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + pattern.count)
        while bytes.count < byteCount { bytes += pattern }
        bytes.removeLast(bytes.count - byteCount)
        return bytes
    }

    private static func noise(_ byteCount: Int, _ random: inout SeededRandom) -> [UInt8] {
        let words = (0..<(byteCount + 7) / 8).map { _ in random.next() }
        return unsafe words.withUnsafeBytes { unsafe Array($0.prefix(byteCount)) }
    }

    func header(at unixMilliseconds: UInt64) -> BlockHeader {
        let payload = payload
        return BlockHeader(
            identity: identity,
            keyByteCount: key.count,
            attributes: BlockAttributes(
                tokenCount: UInt32(number),
                elementType: elementType,
                createdAt: unixMilliseconds,
                expiresAt: expiresAt,
                pinnedUntil: pinnedUntil
            ),
            payloadByteCount: payload.count,
            payloadChecksum: unsafe payload.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        )
    }
}
