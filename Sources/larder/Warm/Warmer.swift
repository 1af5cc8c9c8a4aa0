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
    /// Whether to look only.
    let isDryRun: Bool

    /// Warms a prefix of known keys.
    func warm(
        _ entry: WarmEntry,
        keys: [BlockKeyArgument],
        namespace: NamespaceID,
        _ progress: (_ blocksDone: Int) -> Void
    ) async throws -> WarmResult {
        var result = WarmResult(line: entry.line, blockCount: keys.count)
        var tiers = try await node.tiers(namespace, keys)
        let held = Array(keys.prefix(tiers.count))
        result.warmCount = entry.tier == .disk ? tiers.count : tiers.count { $0 == .memory }
        progress(result.warmCount)
        if isDryRun {
            // What a run would do: promote what is on disk.
            result.promotedCount = tiers.count - result.warmCount
            result.pinnedCount = entry.isPinned ? held.count : 0
            return result
        }
        if entry.tier == .memory {
            tiers = try await promote(held, tiers, namespace, progress)
            result.promotedCount = max(0, tiers.count { $0 == .memory } - result.warmCount)
        }
        if entry.isPinned {
            for batch in held.batches {
                result.pinnedCount += try await node.pin(
                    namespace, keys: batch, timeToLive: entry.timeToLive?.duration
                )
            }
        }
        return result
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
