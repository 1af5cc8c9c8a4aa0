/// An error that the server answered with, such as `ERR unknown command`.
package struct ReplyFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The whole line as the server sent it.
    package let text: String

    /// Takes the line without its leading `-`.
    package init(_ text: String) {
        self.text = text
    }

    /// The first word: `ERR`, `NOAUTH`, `WRONGPASS`, `NOPROTO`.
    package var code: Substring { text.prefix { $0 != " " } }

    /// The line.
    package var description: String { text }
}
