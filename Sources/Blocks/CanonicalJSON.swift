/// The one spelling of a JSON value: RFC 8785 for values without fractions and null.
///
/// Reading is strict and bounded, writing has no choices: the same value has the same bytes in every program, so that
/// a digest of them can be its name.
package enum CanonicalJSON {
    /// The largest integer that every JSON program reads exactly: 2^53 - 1.
    static let integerMax: Int64 = (1 << 53) - 1

    /// Reads one JSON value.
    ///
    /// - Parameter bytes: UTF-8, at most `Limits.descriptionByteCountMax`; white space is allowed where JSON allows it.
    /// - Returns: the value.
    /// - Throws: `.invalidArgument` naming the byte offset of the first thing that is not allowed: null, a fraction, an
    ///   integer beyond 2^53 - 1, a name given twice, half a surrogate pair, too deep nesting, bytes after the value.
    package static func parse(_ bytes: [UInt8]) throws(CacheError) -> JSONValue {
        var parser = try CanonicalJSONParser(bytes)
        return try parser.parse()
    }

    /// Writes `value` in its canonical form.
    ///
    /// - Parameter value: any value, however it was built.
    /// - Returns: the only spelling of the value, in UTF-8.
    /// - Throws: `.invalidArgument` for an integer beyond 2^53 - 1, too deep nesting, or a result beyond
    ///   `Limits.descriptionByteCountMax`.
    package static func serialize(_ value: JSONValue) throws(CacheError) -> [UInt8] {
        var serializer = CanonicalJSONSerializer()
        try serializer.append(value, depth: 1)
        return serializer.bytes
    }
}
