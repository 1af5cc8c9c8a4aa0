/// Writes the part of MessagePack that events need: nil, unsigned integers, doubles, bytes, text, and the heads of arrays
/// and maps, each in its shortest form.
package struct MessagePackWriter: Sendable {
    /// What was written.
    package private(set) var bytes: [UInt8] = []

    /// Starts with nothing written.
    package init() {}

    /// Adds nil.
    package mutating func appendNil() {
        bytes.append(0xC0)
    }

    /// Adds a number that is not negative.
    package mutating func append(unsigned value: UInt64) {
        switch value {
        case 0..<0x80: bytes.append(UInt8(truncatingIfNeeded: value))
        case 0x80..<0x100: append(head: 0xCC, value, byteCount: 1)
        case 0x100..<0x1_0000: append(head: 0xCD, value, byteCount: 2)
        case 0x1_0000..<0x1_0000_0000: append(head: 0xCE, value, byteCount: 4)
        default: append(head: 0xCF, value, byteCount: 8)
        }
    }

    /// Adds a number with 64 bits.
    package mutating func append(double value: Double) {
        append(head: 0xCB, value.bitPattern, byteCount: 8)
    }

    /// Adds a byte string.
    package mutating func append(bytes value: some Collection<UInt8>) {
        let count = UInt64(value.count)
        switch count {
        case 0..<0x100: append(head: 0xC4, count, byteCount: 1)
        case 0x100..<0x1_0000: append(head: 0xC5, count, byteCount: 2)
        default: append(head: 0xC6, count, byteCount: 4)
        }
        bytes.append(contentsOf: value)
    }

    /// Adds a text string in UTF-8.
    package mutating func append(text value: String) {
        let count = UInt64(value.utf8.count)
        switch count {
        case 0..<32: bytes.append(0xA0 | UInt8(truncatingIfNeeded: count))
        case 32..<0x100: append(head: 0xD9, count, byteCount: 1)
        case 0x100..<0x1_0000: append(head: 0xDA, count, byteCount: 2)
        default: append(head: 0xDB, count, byteCount: 4)
        }
        bytes.append(contentsOf: value.utf8)
    }

    /// Begins an array; its `count` items are added next.
    package mutating func beginArray(count: Int) {
        beginContainer(short: 0x90, long: 0xDC, count: UInt64(count))
    }

    /// Begins a map; its `count` pairs of name and value are added next.
    package mutating func beginMap(count: Int) {
        beginContainer(short: 0x80, long: 0xDE, count: UInt64(count))
    }

    /// Begins a map of at most 65,535 pairs with a head of 16 bits, however few they are.
    package mutating func beginLongMap(count: UInt16) {
        append(head: 0xDE, UInt64(count), byteCount: 2)
    }

    private mutating func beginContainer(short: UInt8, long: UInt8, count: UInt64) {
        switch count {
        case 0..<16: bytes.append(short | UInt8(truncatingIfNeeded: count))
        case 16..<0x1_0000: append(head: long, count, byteCount: 2)
        default: append(head: long + 1, count, byteCount: 4)
        }
    }

    private mutating func append(head: UInt8, _ value: UInt64, byteCount: Int) {
        bytes.append(head)
        bytes.append(bigEndian: value, byteCount: byteCount)
    }
}

extension [UInt8] {
    /// Adds the last `byteCount` bytes of a number, highest first.
    mutating func append(bigEndian value: UInt64, byteCount: Int) {
        for index in (0..<byteCount).reversed() {
            append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }
}
