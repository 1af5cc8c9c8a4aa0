/// A value read from MessagePack; enough for events.
indirect enum MessagePackValue: Hashable {
    case null
    case unsigned(UInt64)
    case double(Double)
    case bytes([UInt8])
    case text(String)
    case array([MessagePackValue])
    case map([String: MessagePackValue])

    /// Reads one value that is all of `bytes`.
    init(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        self = try Self.read(&rest)
        guard rest.isEmpty else { throw WireError(text: "\(rest.count) bytes after the value") }
    }

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var array: [MessagePackValue]? { if case .array(let values) = self { values } else { nil } }
    var map: [String: MessagePackValue]? { if case .map(let values) = self { values } else { nil } }
    var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
    var unsigned: UInt64? { if case .unsigned(let value) = self { value } else { nil } }

    private static func read(_ rest: inout ArraySlice<UInt8>) throws -> MessagePackValue {
        let head = try number(1, &rest)
        switch head {
        case 0..<0x80: return .unsigned(head)
        case 0x80..<0x90: return try map(head & 15, &rest)
        case 0x90..<0xA0: return try array(head & 15, &rest)
        case 0xA0..<0xC0: return .text(String(decoding: try take(head & 31, &rest), as: UTF8.self))
        case 0xC0: return .null
        case 0xC4...0xC6: return .bytes(Array(try take(number(1 << (head - 0xC4), &rest), &rest)))
        case 0xCB: return .double(Double(bitPattern: try number(8, &rest)))
        case 0xCC...0xCF: return .unsigned(try number(1 << (head - 0xCC), &rest))
        case 0xD9...0xDB:
            return .text(String(decoding: try take(number(1 << (head - 0xD9), &rest), &rest), as: UTF8.self))
        case 0xDC: return try array(number(2, &rest), &rest)
        case 0xDE: return try map(number(2, &rest), &rest)
        default: throw WireError(text: "head \(head)")
        }
    }

    private static func array(_ count: UInt64, _ rest: inout ArraySlice<UInt8>) throws -> MessagePackValue {
        var values: [MessagePackValue] = []
        for _ in 0..<count { values.append(try read(&rest)) }
        return .array(values)
    }

    private static func map(_ count: UInt64, _ rest: inout ArraySlice<UInt8>) throws -> MessagePackValue {
        var values: [String: MessagePackValue] = [:]
        for _ in 0..<count {
            guard case .text(let name) = try read(&rest) else {
                throw WireError(text: "a name that is no text")
            }
            values[name] = try read(&rest)
        }
        return .map(values)
    }

    private static func number(_ byteCount: Int, _ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
        try take(UInt64(byteCount), &rest).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func take(_ count: UInt64, _ rest: inout ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw WireError(text: "cut short") }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }
}
