/// A peer broke the protocol: what came is no RESP reply, or is beyond a named limit.
///
/// Its stream cannot be used on.
package struct ReplyProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was wrong, for a person.
    package let message: String

    /// Creates an error.
    package init(_ message: String) {
        self.message = message
    }

    /// The message.
    package var description: String { message }
}
