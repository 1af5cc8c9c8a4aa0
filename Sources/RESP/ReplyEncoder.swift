package import NIOCore

/// The two versions of the protocol that a connection can speak.
package enum ProtocolVersion: Int, Sendable {
    case two = 2
    case three = 3
}

/// Writes replies in the form that a client's protocol version calls for.
///
/// Types that RESP2 lacks fall back as in Redis: a map is a flat array, a set an array, a boolean an integer, a double
/// and a verbatim string bulk strings, and null has two forms.
package struct ReplyEncoder: Sendable {
    /// What the connection speaks.
    package var version = ProtocolVersion.two
    /// The bytes written so far.
    package var buffer: ByteBuffer

    /// Creates an encoder that appends to `buffer`.
    package init(buffer: ByteBuffer = ByteBuffer()) {
        self.buffer = buffer
    }

    /// `+text`
    package mutating func simple(_ text: StaticString) {
        byte("+")
        buffer.writeStaticString(text)
        lineEnd()
    }

    /// `+text`, for text that is made at run time; line ends in it become spaces.
    package mutating func simple(text: String) {
        byte("+")
        line(text)
    }

    /// `-text`; line ends in it become spaces.
    package mutating func error(_ text: String) {
        byte("-")
        line(text)
    }

    /// `:value`
    package mutating func integer(_ value: Int) {
        header(":", value)
    }

    /// A bulk string of `text`.
    package mutating func bulk(_ text: String) {
        bulkHeader(byteCount: text.utf8.count)
        buffer.writeString(text)
        lineEnd()
    }

    /// A bulk string of `bytes`.
    package mutating func bulk(bytes: some Collection<UInt8>) {
        bulkHeader(byteCount: bytes.count)
        buffer.writeBytes(bytes)
        lineEnd()
    }

    /// A bulk string of raw memory, copied.
    package mutating func bulk(copying bytes: UnsafeRawBufferPointer) {
        bulkHeader(byteCount: bytes.count)
        unsafe buffer.writeBytes(bytes)
        lineEnd()
    }

    /// The line before a bulk string whose bytes and line end the caller sends itself.
    package mutating func bulkHeader(byteCount: Int) {
        header("$", byteCount)
    }

    /// The line end after such a bulk string, and after anything else.
    package mutating func lineEnd() {
        buffer.writeInteger(0x0D0A as UInt16)
    }

    /// The absent value: `$-1`, in RESP3 `_`.
    package mutating func null() {
        if version == .three {
            buffer.writeStaticString("_\r\n")
        } else {
            buffer.writeStaticString("$-1\r\n")
        }
    }

    /// The absent array: `*-1`, in RESP3 `_`.
    package mutating func nullArray() {
        if version == .three {
            buffer.writeStaticString("_\r\n")
        } else {
            buffer.writeStaticString("*-1\r\n")
        }
    }

    /// Begins an array of `count` elements.
    package mutating func array(_ count: Int) {
        header("*", count)
    }

    /// Begins a map of `count` pairs.
    package mutating func map(_ count: Int) {
        if version == .three { header("%", count) } else { header("*", count * 2) }
    }

    /// Begins a set of `count` elements.
    package mutating func set(_ count: Int) {
        header(version == .three ? "~" : "*", count)
    }

    /// Begins an out-of-band message of `count` elements; an array in RESP2.
    package mutating func push(_ count: Int) {
        header(version == .three ? ">" : "*", count)
    }

    /// `#t` or `#f`; `:1` or `:0` in RESP2.
    package mutating func bool(_ value: Bool) {
        if version == .three {
            buffer.writeStaticString(value ? "#t\r\n" : "#f\r\n")
        } else {
            integer(value ? 1 : 0)
        }
    }

    /// `,value`; a bulk string in RESP2. Infinities are `inf` and `-inf`.
    package mutating func double(_ value: Double) {
        let text =
            value.isNaN ? "nan" : value.isInfinite ? (value < 0 ? "-inf" : "inf") : Self.text(of: value)
        guard version == .three else { return bulk(text) }
        byte(",")
        line(text)
    }

    /// A text for people: `=` with format `txt`; a bulk string in RESP2.
    package mutating func verbatim(_ text: String) {
        guard version == .three else { return bulk(text) }
        header("=", text.utf8.count + 4)
        buffer.writeStaticString("txt:")
        buffer.writeString(text)
        lineEnd()
    }

    private static func text(of value: Double) -> String {
        let text = "\(value)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    private mutating func line(_ text: String) {
        if text.utf8.contains(where: { $0 == 0x0D || $0 == 0x0A }) {
            buffer.writeBytes(text.utf8.map { $0 == 0x0D || $0 == 0x0A ? UInt8(ascii: " ") : $0 })
        } else {
            buffer.writeString(text)
        }
        lineEnd()
    }

    private mutating func byte(_ scalar: Unicode.Scalar) {
        buffer.writeInteger(UInt8(ascii: scalar))
    }

    private mutating func header(_ mark: Unicode.Scalar, _ value: Int) {
        // The mark, a sign, nineteen digits and the line end: written from the back.
        let room = 23
        var digits: InlineArray<23, UInt8> = .init(repeating: 0)
        digits[room - 1] = 0x0A
        digits[room - 2] = 0x0D
        var start = room - 2
        var rest = value.magnitude
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        if value < 0 {
            start -= 1
            digits[start] = UInt8(ascii: "-")
        }
        start -= 1
        digits[start] = UInt8(ascii: mark)
        let line = digits.span
        // SAFETY: the bytes are copied before the call returns.
        _ = unsafe line.extracting(start..<room).withUnsafeBytes { unsafe buffer.writeBytes($0) }
    }
}
