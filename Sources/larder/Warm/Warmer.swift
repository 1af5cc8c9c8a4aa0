internal import Blocks
internal import LarderClient

/// What became of one prefix.
struct WarmResult: Hashable, Sendable {
    let line: Int
    /// Blocks of the prefix; for a prompt, whole blocks of it.
    var blockCount = 0
    /// Blocks that were where they are to be.
    var warmCount = 0
    /// Blocks brought from disk to RAM.
    var promotedCount = 0
    /// Blocks that a worker computed.
    var prefilledCount = 0
    /// Blocks pinned.
    var pinnedCount = 0

    /// Blocks that no tier holds, or that did not reach RAM in time.
    var missingCount: Int { max(0, blockCount - warmCount - promotedCount - prefilledCount) }
}

/// Brings the blocks of prefixes where they are to be.
struct Warmer {
    let node: LarderAdmin
    /// Longest wait for the blocks of one prefix to reach RAM.
    let patience: Duration
    /// Whether to look only; results then say what a run would do.
    let isDryRun: Bool

    /// Warms one prefix.
    ///
    /// - Parameters:
    ///   - entry: where its blocks are to be, and how long.
    ///   - keys: of its blocks, in order.
    ///   - namespace: whose they are; known to the node.
    ///   - prefill: computes and stores what is missing, and returns how many blocks the node took; `nil` when nobody
    ///     can.
    ///   - progress: told how many blocks are where they are to be.
    /// - Returns: what became of the blocks, or would.
    /// - Throws: what the node answers instead, and what `prefill` throws.
    func warm(
        _ entry: WarmEntry,
        keys: [BlockKeyArgument],
        namespace: NamespaceID,
        prefill: (() async throws -> Int)?,
        _ progress: (_ blocksDone: Int) -> Void
    ) async throws -> WarmResult {
        var result = WarmResult(line: entry.line, blockCount: keys.count)
        var tiers = try await node.tiers(namespace, keys)
        result.warmCount = warmCount(tiers, entry.tier)
        progress(result.warmCount)
        if isDryRun {
            result.promotedCount = tiers.count - result.warmCount
            result.prefilledCount = prefill == nil ? 0 : keys.count - tiers.count
            result.pinnedCount = entry.isPinned ? keys.count - result.missingCount : 0
            return result
        }
        if tiers.count < keys.count, let prefill {
            result.prefilledCount = try await prefill()
            tiers = try await node.tiers(namespace, keys)
        }
        let held = Array(keys.prefix(tiers.count))
        if entry.tier == .memory { tiers = try await promote(held, tiers, namespace, progress) }
        result.promotedCount = max(0, warmCount(tiers, entry.tier) - result.warmCount - result.prefilledCount)
        if entry.isPinned {
            for batch in held.batches {
                let timeToLive = entry.timeToLive?.duration
                result.pinnedCount += try await node.pin(namespace, keys: batch, timeToLive: timeToLive)
            }
        }
        return result
    }

    private func warmCount(_ tiers: [PrefixMatch.Tier], _ tier: WarmEntry.Tier) -> Int {
        tier == .disk ? tiers.count : tiers.count { $0 == .memory }
    }

    /// Asks for promotion until all are in RAM or the time is over; a node starts a bounded number at a time.
    private func promote(
        _ keys: [BlockKeyArgument],
        _ tiers: [PrefixMatch.Tier],
        _ namespace: NamespaceID,
        _ progress: (_ blocksDone: Int) -> Void
    ) async throws -> [PrefixMatch.Tier] {
        let clock = ContinuousClock()
        let deadline = clock.now + patience
        var tiers = tiers
        var pause = Duration.milliseconds(5)
        while tiers.contains(where: { $0 != .memory }), clock.now < deadline {
            let onDisk = zip(keys, tiers).filter { $1 != .memory }.map(\.0)
            for batch in onDisk.batches { _ = try await node.prefetch(namespace, keys: batch) }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
            tiers = try await node.tiers(namespace, keys)
            progress(tiers.count { $0 == .memory })
        }
        return tiers
    }
}
