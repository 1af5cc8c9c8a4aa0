/// Writes RFC 8785: no white space, sorted names, and the shortest escape of each character that needs one.
struct CanonicalJSONSerializer {
    /// What was written.
    private(set) var bytes: [UInt8] = []

    /// Adds a value that stands `depth` containers deep, itself included when it is one.
    mutating func append(_ value: JSONValue, depth: Int) throws(CacheError) {
        switch value {
        case .object(let object):
            try checkDepth(depth)
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(member.name)
                bytes.append(UInt8(ascii: ":"))
                try append(member.value, depth: depth + 1)
            }
            bytes.append(UInt8(ascii: "}"))
        case .array(let values):
            try checkDepth(depth)
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                try append(value, depth: depth + 1)
            }
            bytes.append(UInt8(ascii: "]"))
        case .string(let text):
            append(text)
        case .integer(let integer):
            guard (-CanonicalJSON.integerMax...CanonicalJSON.integerMax).contains(integer) else {
                throw CacheError(
                    .invalidArgument,
                    "the integer \(integer) is beyond 2^53 - 1; write it as a string"
                )
            }
            bytes.append(contentsOf: String(integer).utf8)
        case .boolean(let isTrue):
            bytes.append(contentsOf: (isTrue ? "true" : "false").utf8)
        }
        guard bytes.count <= Limits.descriptionByteCountMax else {
            throw CacheError(
                .invalidArgument,
                "the JSON text is longer than \(Limits.descriptionByteCountMax) bytes"
            )
        }
    }

    /// The beginning of `text` in quotes, without control characters: fit for a message.
    static func quoted(_ text: String, scalarCountMax: Int) -> String {
        var serializer = CanonicalJSONSerializer()
        serializer.append(String(String.UnicodeScalarView(text.unicodeScalars.prefix(scalarCountMax))))
        return String(decoding: serializer.bytes, as: UTF8.self)
    }

    private func checkDepth(_ depth: Int) throws(CacheError) {
        guard depth <= Limits.descriptionDepthMax else {
            throw CacheError(.invalidArgument, "JSON nested deeper than \(Limits.descriptionDepthMax)")
        }
    }

    private mutating func append(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x08: bytes.append(contentsOf: "\\b".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0x0A: bytes.append(contentsOf: "\\n".utf8)
            case 0x0C: bytes.append(contentsOf: "\\f".utf8)
            case 0x0D: bytes.append(contentsOf: "\\r".utf8)
            case 0x00..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(contentsOf: Hexadecimal.text(of: [byte]).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
