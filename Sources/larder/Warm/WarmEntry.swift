/// One prefix to warm: a line of the file of `larder warm`.
struct WarmEntry: Hashable, Sendable {
    /// What the prefix is.
    enum Prefix: Hashable, Sendable {
        /// Keys of its blocks, in order, within a namespace: an identifier or a description as JSON.
        case keys([BlockKeyArgument], namespace: String)
        /// A prompt that a worker tokenizes, and prefills where blocks are missing.
        case promptFile(String)
    }

    /// Where the blocks are to be afterwards.
    enum Tier: String, Sendable, CaseIterable {
        /// In RAM.
        case memory
        /// On disk or in RAM.
        case disk
    }

    /// The line in the file, from 1.
    let line: Int
    let prefix: Prefix
    let tier: Tier
    /// Whether eviction is to spare the blocks.
    let isPinned: Bool
    /// How long the pin holds; `nil` is for ever.
    let timeToLive: TimeSpan?
}
