/// Named JSON values in canonical order: names are different and sorted by their UTF-16 code units (RFC 8785).
public struct JSONObject: Sendable, Equatable {
    /// One name and its value.
    public struct Member: Sendable, Equatable {
        /// The name; any text.
        public let name: String
        /// The value.
        public let value: JSONValue

        /// Creates a member.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }

        /// Equality by code units.
        public static func == (left: Member, right: Member) -> Bool {
            left.name.utf8.elementsEqual(right.name.utf8) && left.value == right.value
        }
    }

    /// The members in canonical order.
    public let members: [Member]

    /// Sorts `members`; throws `.invalidArgument` when two have the same name.
    public init(_ members: [Member]) throws(CacheError) {
        let sorted = members.sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
        for (member, next) in zip(sorted, sorted.dropFirst())
        where member.name.utf8.elementsEqual(next.name.utf8) {
            let name = CanonicalJSONSerializer.quoted(member.name, scalarCountMax: 64)
            throw CacheError(.invalidArgument, "the name \(name) is there twice in one object")
        }
        self.members = sorted
    }

    /// The value of `name`; `nil` when there is none.
    public subscript(name: String) -> JSONValue? {
        members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}
