/// Writes little-endian fields to the end of a buffer.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append<T: FixedWidthInteger>(_ value: T) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }
}

/// Reads little-endian fields; every read past the end gives zero and is remembered.
struct FieldReader: ~Escapable {
    private let bytes: RawSpan
    private var offset = 0
    /// Whether all reads so far were inside the bytes.
    private(set) var isWhole = true

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    /// Bytes not read yet.
    var remainingByteCount: Int { bytes.byteCount - offset }

    @_lifetime(self: copy self)
    mutating func next<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) -> T {
        guard remainingByteCount >= MemoryLayout<T>.size else {
            isWhole = false
            offset = bytes.byteCount
            return 0
        }
        defer { offset += MemoryLayout<T>.size }
        // SAFETY: the bytes from offset are there, checked above.
        return T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
    }
}
