/// What the engine cannot do, with a code for programs and a message for a person.
package struct EngineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Hashable, Sendable {
        /// Sizes that make no model, or that this engine does not know.
        case invalidConfiguration
        /// A weights file that is malformed, incomplete, or of other shapes than its configuration.
        case invalidWeights
        /// A file that cannot be read.
        case unreadableFile
        /// Bytes or an index that are no block of this engine's layout.
        case invalidBlock
        /// A token outside the vocabulary, or no token at all.
        case invalidToken
        /// More tokens than the model's context or the engine's pages hold.
        case contextExceeded
    }

    /// The kind of failure.
    package let code: Code
    /// What happened and what to do.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// `code: message`.
    package var description: String { "\(code.rawValue): \(message)" }
}
