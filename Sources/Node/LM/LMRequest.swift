internal import NIOCore

/// One request of LMCache's lm:// protocol: nine little-endian 32-bit integers and a key padded with spaces to 150
/// bytes.
struct LMRequest: Hashable {
    /// What is asked.
    enum Verb: Int32 {
        case put = 1
        case get = 2
        case exist = 3
        case list = 4
        case health = 5
    }

    /// Bytes of an encoded request.
    static let byteCount = 9 * 4 + keyByteCount
    /// Bytes of the padded key.
    static let keyByteCount = 150

    let verb: Verb
    /// Bytes that follow a put.
    let payloadByteCount: Int
    let shape: LMShape
    /// The key without its padding.
    let key: [UInt8]

    /// Decodes 186 bytes; `nil` for an unknown verb or a negative length, after which nothing can be understood.
    init?(decoding bytes: inout ByteBuffer) {
        guard bytes.readableBytes >= Self.byteCount else { return nil }
        func integer() -> Int32? { bytes.readInteger(endianness: .little) }
        guard let verb = integer().flatMap(Verb.init), let length = integer(), length >= 0,
            let format = integer(), let elementType = integer(), integer() != nil,
            let first = integer(), let second = integer(), let third = integer(), let fourth = integer(),
            let padded = bytes.readBytes(length: Self.keyByteCount)
        else { return nil }
        self.verb = verb
        payloadByteCount = Int(length)
        shape = LMShape(format: format, elementType: elementType, sizes: SIMD4(first, second, third, fourth))
        key = Array(padded.prefix((padded.lastIndex { $0 != UInt8(ascii: " ") } ?? -1) + 1))
    }
}

/// What lm:// keeps beside a payload: its format, element type and sizes, as LMCache numbers them.
///
/// Stored as a trailer of 32 bytes behind the payload, so that the payload keeps its alignment and a GET sends it from
/// the arena as it lies.
struct LMShape: Hashable {
    var format: Int32
    var elementType: Int32
    var sizes: SIMD4<Int32>

    /// Bytes of the trailer.
    static let trailerByteCount = 32
    private static let magic: UInt32 = 0x314D_4C4C

    /// Names a shape.
    init(format: Int32, elementType: Int32, sizes: SIMD4<Int32>) {
        self.format = format
        self.elementType = elementType
        self.sizes = sizes
    }

    /// Reads the trailer of a stored payload; `nil` when there is none.
    init?(trailing payload: UnsafeRawBufferPointer) {
        guard payload.count >= Self.trailerByteCount else { return nil }
        let base = payload.count - Self.trailerByteCount
        func word(_ index: Int) -> Int32 {
            // SAFETY: eight words lie between `base` and the end, as checked above.
            Int32(
                littleEndian: unsafe payload.loadUnaligned(fromByteOffset: base + 4 * index, as: Int32.self)
            )
        }
        guard word(7) == Int32(bitPattern: Self.magic) else { return nil }
        self.init(format: word(0), elementType: word(1), sizes: SIMD4(word(2), word(3), word(4), word(5)))
    }

    /// Writes the trailer at the end of `payload`, which has at least 32 bytes.
    func writeTrailer(to payload: UnsafeMutableRawBufferPointer) {
        let base = payload.count - Self.trailerByteCount
        let words = [
            format, elementType, sizes[0], sizes[1], sizes[2], sizes[3], 0, Int32(bitPattern: Self.magic),
        ]
        for (index, word) in words.enumerated() {
            // SAFETY: the caller gives room for all eight words.
            unsafe payload.storeBytes(of: word.littleEndian, toByteOffset: base + 4 * index, as: Int32.self)
        }
    }
}

/// A reply: nine little-endian 32-bit integers; a found payload follows.
struct LMReply: Hashable {
    /// Bytes of an encoded reply.
    static let byteCount = 36

    /// Whether the key is held, or the node well.
    var isFound: Bool
    var payloadByteCount = 0
    var shape = LMShape(format: 0, elementType: 0, sizes: .zero)

    private static let success: Int32 = 200
    private static let failure: Int32 = 400
    /// LMCache's number for memory on the host.
    private static let locationMemory: Int32 = 1

    /// The 36 bytes.
    var bytes: ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: Self.byteCount)
        let words = [
            isFound ? Self.success : Self.failure, Int32(clamping: payloadByteCount), shape.format,
            shape.elementType, shape.sizes[0], shape.sizes[1], shape.sizes[2], shape.sizes[3],
            isFound ? Self.locationMemory : 0,
        ]
        for word in words { buffer.writeInteger(word, endianness: .little) }
        return buffer
    }
}
