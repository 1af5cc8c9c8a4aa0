/// A JSON value of the kinds that a description may hold: no null, no fractions.
///
/// Two values are equal when their canonical forms are: strings compare by their code units, not by Unicode
/// equivalence, and the order in which an object was written does not matter.
public enum JSONValue: Sendable {
    /// Named values.
    case object(JSONObject)
    /// Values in order.
    case array([JSONValue])
    /// Text.
    case string(String)
    /// A whole number from -(2^53 - 1) to 2^53 - 1.
    case integer(Int64)
    /// True or false.
    case boolean(Bool)
}

extension JSONValue: Equatable {
    /// Equality of kind and content.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.object(let left), .object(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.integer(let left), .integer(let right)): left == right
        case (.boolean(let left), .boolean(let right)): left == right
        default: false
        }
    }
}
