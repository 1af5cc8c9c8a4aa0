/// What became of one request of a replay.
struct ReplayedRequest: Hashable, Sendable {
    /// Blocks asked for.
    var blockCount = 0
    /// Blocks that the node said it holds, under a lease.
    var matchedCount = 0
    /// Of those, blocks that were on disk.
    var diskCount = 0
    /// Blocks that were loaded without a hole, from the first on.
    var hitCount = 0
    /// Blocks that were loaded.
    var loadedCount = 0
    /// Tokens of the prompt, and of the blocks that were hit.
    var inputTokenCount = 0
    var hitTokenCount = 0
    /// What is wrong with loaded payloads, a sentence for each.
    var wrongPayloads: [String] = []
    /// Blocks that existed and could not be loaded, a sentence for each of the first.
    var failures: [String] = []
    /// Blocks that the node took, and had already.
    var storedCount = 0
    var existingCount = 0
    /// Blocks that the node did not take, by reason.
    var refusals: [String: Int] = [:]
    /// Nanoseconds that the request was late, and that the node took for its parts.
    var lateness: UInt64 = 0
    var matching: UInt64 = 0
    var loading: UInt64 = 0
    var storing: UInt64 = 0

    /// Blocks that existed and could not be loaded.
    var failedCount: Int { matchedCount - loadedCount }

    /// From when the request was due to the end of its stores, without the replay's own work; nanoseconds.
    var latency: UInt64 { lateness + matching + loading + storing }
}
