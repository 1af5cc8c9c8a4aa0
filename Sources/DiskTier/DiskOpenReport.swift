/// What opening the tier found.
package struct DiskOpenReport: Sendable, Hashable {
    /// Blocks that can be read.
    package var blockCount = 0
    /// Bytes of the tables they are in.
    package var byteCount = 0
    /// Segments held.
    package var segmentCount = 0
    /// Units (tables) held.
    package var unitCount = 0
    /// Time that opening took, seconds.
    package var seconds = 0.0
    /// Where an unusable database was moved, when there was one; the tier started empty then.
    package var setAsidePath: String?
    /// Why it was unusable.
    package var setAsideReason: String?
    /// Units that were reported durable and are not there: storage lost what it had confirmed.
    package var missingDurableUnits = 0
    /// Units whose records could not be read, wholly or in part.
    package var damagedUnits = 0
    /// Blocks left out because a unit that is lost may have deleted or replaced them.
    package var distrustedBlocks = 0
    /// Whether reads bypass the page cache; `false` where the file system refuses O_DIRECT.
    package var readsDirectly = true

    /// Whether blocks may be missing that were there.
    package var hasLost: Bool {
        setAsidePath != nil || missingDurableUnits > 0 || damagedUnits > 0 || distrustedBlocks > 0
    }

    /// Creates an empty report.
    package init() {}
}
