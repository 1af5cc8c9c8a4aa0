/// What a request gave and what it took.
package struct RequestOutcome: Sendable {
    /// Tokens of the prompt.
    package var promptTokenCount = 0
    /// Tokens of leading blocks that came from the cache's memory.
    package var memoryTokenCount = 0
    /// Tokens of leading blocks that came from the cache's disk.
    package var diskTokenCount = 0
    /// Tokens of leading blocks that came from elsewhere.
    package var otherTokenCount = 0
    /// From the request to the logits of its first new token: hashing, asking, loading, importing, computing.
    package var timeToFirstToken = Duration.zero
    /// The part of it that asking and loading took.
    package var cacheTime = Duration.zero
    /// The whole request, with generating and storing.
    package var totalTime = Duration.zero
    /// SHA-256 of the logits behind the prompt.
    package var logitsDigest = ""
    /// Tokens generated, without the one that ended the text.
    package var newTokens: [UInt32] = []
    /// Blocks given to the cache.
    package var stored = StoreCount()

    /// Tokens of the prompt that were not computed.
    package var reusedTokenCount: Int { memoryTokenCount + diskTokenCount + otherTokenCount }
    /// Tokens of the prompt that were computed.
    package var computedTokenCount: Int { promptTokenCount - reusedTokenCount }
}
