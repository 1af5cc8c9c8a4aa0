extension JSONText: Decodable {
    /// Reads any JSON value; the members of an object come in an order of the decoder's, so they are sorted by name.
    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: MemberName.self) {
            self = .object(
                try container.allKeys.sorted { $0.stringValue < $1.stringValue }.map { name in
                    Member(name: name.stringValue, value: try container.decode(JSONText.self, forKey: name))
                }
            )
            return
        }
        if var container = try? decoder.unkeyedContainer() {
            var values: [JSONText] = []
            while !container.isAtEnd { values.append(try container.decode(JSONText.self)) }
            self = .array(values)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    private struct MemberName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
