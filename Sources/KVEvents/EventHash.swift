internal import Blocks

/// What routers know a block by, and the KV group it belongs to, as its key says.
package struct EventBlock: Hashable, Sendable {
    /// The block's hash.
    package let hash: EventHash
    /// The index of its KV group, for keys that end in one.
    package let group: UInt32?

    /// Wraps what is known.
    package init(hash: EventHash, group: UInt32?) {
        self.hash = hash
        self.group = group
    }

    /// Reads a key: 32 bytes are the hash; 36 are vLLM's offload key, the hash and a group's index; 64 hexadecimal digits
    /// spell the 32 bytes; of anything else the bytes are the hash.
    package init(key: [UInt8]) {
        switch key.count {
        case EventHash.digestByteCount:
            self.init(hash: EventHash(key), group: nil)
        case EventHash.digestByteCount + 4:
            let group = key.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            self.init(hash: EventHash(key.prefix(EventHash.digestByteCount)), group: group)
        case 2 * EventHash.digestByteCount:
            self.init(hash: EventHash(Hexadecimal.bytes(of: key) ?? key), group: nil)
        default:
            self.init(hash: EventHash(key), group: nil)
        }
    }
}

/// A block's hash: 32 bytes held in place, or a key of another length as it is.
package enum EventHash: Hashable, Sendable {
    /// 32 bytes as big-endian words.
    case digest(UInt64, UInt64, UInt64, UInt64)
    /// Any other number of bytes.
    case other([UInt8])

    static let digestByteCount = 32

    /// Takes a hash's bytes.
    package init(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.digestByteCount else {
            self = .other(Array(bytes))
            return
        }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for (index, byte) in bytes.enumerated() {
            switch index / 8 {
            case 0: words.0 = words.0 << 8 | UInt64(byte)
            case 1: words.1 = words.1 << 8 | UInt64(byte)
            case 2: words.2 = words.2 << 8 | UInt64(byte)
            default: words.3 = words.3 << 8 | UInt64(byte)
            }
        }
        self = .digest(words.0, words.1, words.2, words.3)
    }

    /// The hash's bytes.
    package var bytes: [UInt8] {
        switch self {
        case .other(let bytes): return bytes
        case .digest(let first, let second, let third, let fourth):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Self.digestByteCount)
            for word in [first, second, third, fourth] { bytes.append(bigEndian: word, byteCount: 8) }
            return bytes
        }
    }

    /// The last 64 bits of the bytes read as one big-endian number, which is how vLLM shortens hashes.
    package var low64: UInt64 {
        switch self {
        case .digest(_, _, _, let low): low
        case .other(let bytes): bytes.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
    }
}
