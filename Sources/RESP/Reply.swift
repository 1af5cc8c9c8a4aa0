/// A whole reply, held in memory: for what is small.
///
/// Payloads go where their caller wants them instead.
package indirect enum Reply: Hashable, Sendable {
    /// `+OK`.
    case status(String)
    /// `-ERR text`.
    case failure(ReplyFailure)
    /// `:42`.
    case integer(Int64)
    /// RESP3 `,1.5`.
    case double(Double)
    /// RESP3 `#t`.
    case boolean(Bool)
    /// RESP3 `(`.
    case bigNumber(String)
    /// Nothing.
    case null
    /// Bytes.
    case bulk([UInt8])
    /// An array or a set.
    case array([Reply])
    /// RESP3 `%`: key, value, key, value.
    case map([Reply])

    /// The text of a status or a bulk string, or a number's; `nil` for the rest.
    package var text: String? {
        switch self {
        case .status(let text), .bigNumber(let text): text
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .integer(let value): String(value)
        case .double(let value): String(value)
        case .boolean(let value): value ? "true" : "false"
        case .failure, .null, .array, .map: nil
        }
    }

    /// The bytes of a bulk string; `nil` for the rest.
    package var bytes: [UInt8]? {
        if case .bulk(let bytes) = self { bytes } else { nil }
    }

    /// An integer, also when it is written as text or as a boolean; `nil` for the rest.
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .boolean(let value): value ? 1 : 0
        case .status(let text): Int64(text)
        case .bulk(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        case .failure, .double, .bigNumber, .null, .array, .map: nil
        }
    }

    /// The elements of an array, set or map (key, value, key, value); `nil` for the rest.
    package var elements: [Reply]? {
        switch self {
        case .array(let elements), .map(let elements): elements
        default: nil
        }
    }

    /// Key and value of each pair of a map, or of an array that stands for one as RESP2 does; `nil` for the rest.
    package var pairs: [(key: Reply, value: Reply)]? {
        guard let elements, elements.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: elements.count, by: 2).map { (elements[$0], elements[$0 + 1]) }
    }
}
