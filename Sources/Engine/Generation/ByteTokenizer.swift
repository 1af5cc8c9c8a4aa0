/// Text as bytes, a token each, behind the model's begin token.
package struct ByteTokenizer: Sendable {
    /// Tokens that are bytes: 0..<256.
    package static let byteCount: UInt32 = 256

    private let beginToken: UInt32?

    /// Throws `.invalidConfiguration` for a vocabulary with fewer tokens than there are bytes.
    package init(_ configuration: ModelConfiguration) throws(EngineError) {
        guard configuration.vocabularySize >= Int(Self.byteCount) else {
            throw EngineError(
                .invalidConfiguration,
                "a vocabulary of \(configuration.vocabularySize) tokens has no room for 256 bytes"
            )
        }
        beginToken = configuration.beginToken
    }

    /// The tokens of a text that starts a sequence.
    package func tokens(of text: some Sequence<UInt8>) -> [UInt32] {
        (beginToken.map { [$0] } ?? []) + continuation(text)
    }

    /// The tokens of a text inside a sequence.
    package func continuation(_ text: some Sequence<UInt8>) -> [UInt32] {
        text.map(UInt32.init)
    }

    /// The bytes that tokens stand for; tokens that are no bytes are left out.
    package func bytes(of tokens: some Sequence<UInt32>) -> [UInt8] {
        tokens.compactMap { UInt8(exactly: $0) }
    }
}
