/// Where the parts of a memory file are: the arena first, so that clients map it as they do one without a file, then
/// what it takes to find its blocks again.
///
/// | part | bytes |
/// |---|---|
/// | arena | a multiple of 2 MiB |
/// | directory, `ExtentDirectory` | 16 for each record of the allocator |
/// | changes that the disk does not have yet, `PendingChanges` | 64 for each |
/// | state: bytes of the arena that have pages, and the same inverted | 4,096 |
/// | header, `MemoryFileHeader`, written in turn to two places | 2 times 4,096 |
package struct MemoryFileLayout: Hashable, Sendable {
    /// Bytes of the arena.
    package let arenaByteCount: Int
    /// Places of the directory.
    let placeCount: Int
    /// Places for changes.
    let changeCount: Int

    static let pageByteCount = 4_096
    static let headerCount = 2
    /// Most changes that are noted; a unit is written before there are half as many.
    static let changeCountMax = 32_768

    /// The layout for an arena that holds so many blocks at most.
    package init(arenaByteCount: Int, blockCountMax: Int) {
        self.arenaByteCount = arenaByteCount
        // Between two held extents there is at most one free one, and no extent is shorter than a granule.
        placeCount = min(2 * blockCountMax + 2, arenaByteCount / Extent.granuleByteCount + 1)
        changeCount = Self.changeCountMax
    }

    var directoryOffset: Int { arenaByteCount }
    var changesOffset: Int { directoryOffset + Self.pages(placeCount * ExtentDirectory.placeByteCount) }
    var stateOffset: Int { changesOffset + Self.pages(changeCount * PendingChanges.placeByteCount) }
    /// Where the first header is.
    var headerOffset: Int { stateOffset + Self.pageByteCount }
    /// Bytes of the whole file.
    package var byteCount: Int { headerOffset + Self.headersByteCount }

    /// Bytes of both headers, which end every memory file whatever its size.
    static var headersByteCount: Int { headerCount * pageByteCount }

    private static func pages(_ byteCount: Int) -> Int {
        (byteCount + pageByteCount - 1) / pageByteCount * pageByteCount
    }
}
