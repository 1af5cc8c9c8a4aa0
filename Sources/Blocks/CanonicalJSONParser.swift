/// Reads one JSON value of the allowed kinds by recursive descent, at most `Limits.descriptionDepthMax` deep.
struct CanonicalJSONParser {
    private let bytes: [UInt8]
    private var offset = 0

    /// Takes the whole text; throws when it is too long or not UTF-8.
    init(_ bytes: [UInt8]) throws(CacheError) {
        guard bytes.count <= Limits.descriptionByteCountMax else {
            throw CacheError(
                .invalidArgument,
                "the JSON text has \(bytes.count) bytes; at most \(Limits.descriptionByteCountMax) are allowed"
            )
        }
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw Self.error(at: error.byteOffsets.lowerBound, "not UTF-8")
        }
        self.bytes = bytes
    }

    /// The value; throws when anything but white space follows it.
    mutating func parse() throws(CacheError) -> JSONValue {
        let value = try parseValue(depth: 1)
        skipWhiteSpace()
        guard offset == bytes.count else { throw error("bytes after the value") }
        return value
    }

    private mutating func parseValue(depth: Int) throws(CacheError) -> JSONValue {
        skipWhiteSpace()
        guard let byte = current else { throw error("the text ends where a value is expected") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try parseObject(depth: depth))
        case UInt8(ascii: "["): return .array(try parseArray(depth: depth))
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .integer(try parseInteger())
        case UInt8(ascii: "t"):
            try expect("true")
            return .boolean(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .boolean(false)
        case UInt8(ascii: "n"): throw error("null is not allowed; leave the name out")
        default: throw error("expected a value")
        }
    }

    private mutating func parseObject(depth: Int) throws(CacheError) -> JSONObject {
        let start = offset
        try enter(depth)
        var members: [JSONObject.Member] = []
        skipWhiteSpace()
        if accept(UInt8(ascii: "}")) { return try JSONObject(members) }
        repeat {
            skipWhiteSpace()
            guard current == UInt8(ascii: "\"") else { throw error("expected a name in quotes") }
            let name = try parseString()
            skipWhiteSpace()
            guard accept(UInt8(ascii: ":")) else { throw error("expected ':'") }
            members.append(JSONObject.Member(name, try parseValue(depth: depth + 1)))
            skipWhiteSpace()
        } while accept(UInt8(ascii: ","))
        guard accept(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
        do {
            return try JSONObject(members)
        } catch {
            throw Self.error(at: start, error.message)
        }
    }

    private mutating func parseArray(depth: Int) throws(CacheError) -> [JSONValue] {
        try enter(depth)
        var values: [JSONValue] = []
        skipWhiteSpace()
        if accept(UInt8(ascii: "]")) { return values }
        repeat {
            values.append(try parseValue(depth: depth + 1))
            skipWhiteSpace()
        } while accept(UInt8(ascii: ","))
        guard accept(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
        return values
    }

    /// Steps over the bracket of a container that stands `depth` deep.
    private mutating func enter(_ depth: Int) throws(CacheError) {
        guard depth <= Limits.descriptionDepthMax else {
            throw error("nested deeper than \(Limits.descriptionDepthMax)")
        }
        offset += 1
    }

    private mutating func parseInteger() throws(CacheError) -> Int64 {
        let start = offset
        let isNegative = accept(UInt8(ascii: "-"))
        let firstDigit = offset
        var magnitude: Int64 = 0
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            magnitude = magnitude * 10 + Int64(byte - UInt8(ascii: "0"))
            guard magnitude <= CanonicalJSON.integerMax else {
                throw Self.error(at: start, "an integer beyond 2^53 - 1; write it as a string")
            }
            offset += 1
        }
        guard offset > firstDigit else { throw error("expected a digit") }
        guard offset == firstDigit + 1 || bytes[firstDigit] != UInt8(ascii: "0") else {
            throw Self.error(at: firstDigit, "a number does not start with 0")
        }
        if let byte = current, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(byte) {
            throw error("only integers are allowed; write a fraction as a string")
        }
        return isNegative ? -magnitude : magnitude
    }

    private mutating func parseString() throws(CacheError) -> String {
        offset += 1
        var text: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                text.append(contentsOf: String(try parseEscape()).utf8)
            case 0x00..<0x20:
                throw error("a control character in a string must be escaped")
            default:
                text.append(byte)
                offset += 1
            }
        }
        throw error("the text ends inside a string")
    }

    private mutating func parseEscape() throws(CacheError) -> Unicode.Scalar {
        let start = offset
        offset += 1
        guard let byte = current else { throw error("the text ends inside a string") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try parseEscapedScalar(start: start)
        default: throw Self.error(at: start, "no such escape")
        }
    }

    /// Reads what follows `\u`, and the second half of a surrogate pair.
    private mutating func parseEscapedScalar(start: Int) throws(CacheError) -> Unicode.Scalar {
        let unit = try parseCodeUnit(start: start)
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard UTF16.isLeadSurrogate(unit), accept(UInt8(ascii: "\\")), accept(UInt8(ascii: "u")) else {
            throw Self.error(at: start, "half a surrogate pair")
        }
        let trail = try parseCodeUnit(start: start)
        let offset = (UInt32(unit) & 0x3FF) << 10 | UInt32(trail) & 0x3FF
        guard UTF16.isTrailSurrogate(trail), let scalar = Unicode.Scalar(0x1_0000 + offset) else {
            throw Self.error(at: start, "half a surrogate pair")
        }
        return scalar
    }

    private mutating func parseCodeUnit(start: Int) throws(CacheError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Hexadecimal.value(of: byte) else {
                throw Self.error(at: start, "\\u needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }

    private mutating func expect(_ word: StaticString) throws(CacheError) {
        let start = offset
        for scalar in String(describing: word).utf8 {
            guard accept(scalar) else { throw Self.error(at: start, "expected a value") }
        }
    }

    private mutating func skipWhiteSpace() {
        while let byte = current, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { offset += 1 }
    }

    private mutating func accept(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        offset += 1
        return true
    }

    private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func error(_ message: String) -> CacheError { Self.error(at: offset, message) }

    private static func error(at offset: Int, _ message: String) -> CacheError {
        CacheError(.invalidArgument, "JSON, byte \(offset): \(message)")
    }
}
