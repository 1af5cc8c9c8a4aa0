/// Writes the part of CBOR (RFC 8949) that names blocks: integers, bytes, text, arrays of known length and null, each
/// head in its shortest form, which is what canonical encoders write.
package struct CBORWriter: Sendable {
    /// Starts with nothing written.
    package init() {}

    /// What was written.
    package private(set) var bytes: [UInt8] = []

    /// Adds a number that is not negative.
    @inline(__always)
    package mutating func append(unsigned value: UInt64) {
        appendHead(.unsigned, value)
    }

    /// Adds a number of either sign.
    package mutating func append(integer value: Int64) {
        if value < 0 {
            appendHead(.negative, UInt64(bitPattern: -1 - value))
        } else {
            appendHead(.unsigned, UInt64(bitPattern: value))
        }
    }

    /// Adds a byte string.
    package mutating func append(bytes value: UnsafeRawBufferPointer) {
        appendHead(.bytes, UInt64(value.count))
        // SAFETY: the bytes are copied before the call returns.
        unsafe bytes.append(contentsOf: value)
    }

    /// Adds a text string in UTF-8.
    package mutating func append(text value: String) {
        appendHead(.text, UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// Begins an array; its `count` items are added next.
    package mutating func beginArray(count: Int) {
        appendHead(.array, UInt64(count))
    }

    /// Adds null.
    package mutating func appendNull() {
        bytes.append(0xF6)
    }

    /// Forgets what was written and keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
    }

    private enum MajorType: UInt8 {
        case unsigned = 0x00
        case negative = 0x20
        case bytes = 0x40
        case text = 0x60
        case array = 0x80
    }

    @inline(__always)
    private mutating func appendHead(_ type: MajorType, _ argument: UInt64) {
        switch argument {
        case 0..<24:
            bytes.append(type.rawValue | UInt8(truncatingIfNeeded: argument))
        case 24..<0x100:
            bytes.append(type.rawValue | 24)
            appendBigEndian(argument, byteCount: 1)
        case 0x100..<0x1_0000:
            bytes.append(type.rawValue | 25)
            appendBigEndian(argument, byteCount: 2)
        case 0x1_0000..<0x1_0000_0000:
            bytes.append(type.rawValue | 26)
            appendBigEndian(argument, byteCount: 4)
        default:
            bytes.append(type.rawValue | 27)
            appendBigEndian(argument, byteCount: 8)
        }
    }

    @inline(__always)
    private mutating func appendBigEndian(_ value: UInt64, byteCount: UInt64) {
        for index in 0..<byteCount {
            bytes.append(UInt8(truncatingIfNeeded: value >> (8 * (byteCount - 1 - index))))
        }
    }
}
