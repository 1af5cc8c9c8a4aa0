package import Blocks

/// Where the arena is kept for the next run of the node, and who may take it back.
package struct MemoryFileConfiguration: Sendable {
    /// The file, on a file system in memory.
    package var path: String
    /// Which directory the node's identity is in; a file whose directory is gone is nobody's any more.
    package var owner: String
    /// Tells the node's secret from others: another one finds none of the blocks.
    package var secretFingerprint: SIMD2<UInt64>
    /// Which run was the latest before this one; `nil` when nothing is known.
    package var latestRun: RunMark?
    /// Says durably, wherever the node keeps its identity, that this run is the latest; gives why it could not.
    package var recordRun: @Sendable (RunMark) -> CacheError?
    /// Told once, on any thread, when the file system has no room for more of the arena, with the bytes it has.
    package var onShortage: @Sendable (_ byteCount: Int) -> Void

    /// Creates a configuration.
    package init(
        path: String,
        owner: String,
        secretFingerprint: SIMD2<UInt64>,
        latestRun: RunMark?,
        recordRun: @escaping @Sendable (RunMark) -> CacheError?,
        onShortage: @escaping @Sendable (_ byteCount: Int) -> Void = { _ in }
    ) {
        self.path = path
        self.owner = owner
        self.secretFingerprint = secretFingerprint
        self.latestRun = latestRun
        self.recordRun = recordRun
        self.onShortage = onShortage
    }
}
