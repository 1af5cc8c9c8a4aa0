package import Blocks

/// How much disk the tier may use, and where.
package struct DiskTierConfiguration: Sendable {
    /// The data directory; created when it is missing.
    package var directory: String
    /// The budget: bytes of all files of the tier together, database bookkeeping included.
    package var byteCountMax: Int
    /// Bytes after which a unit (one table, written and made durable as a whole) is full.
    package var unitByteCount: Int
    /// Bytes after which a segment (what is dropped as a whole when room is needed) takes no further unit.
    package var segmentByteCount: Int
    /// Most blocks in the index, about 90 bytes of memory each, at most 60 million; the oldest segment goes
    /// when there would be more.
    package var blockCountMax: Int
    /// Tables above which segments of small tables are written together: many small durable units make many
    /// files.
    package var unitCountMax: Int
    /// Whether payloads are coded where a sample says that it pays.
    package var compresses: Bool
    /// Whether a block that is neither pinned nor leased has earned a longer life when its segment is
    /// dropped.
    package var shouldCarry: @Sendable (BlockIdentity) -> Bool
    /// Told, on the thread that writes, when the database was opened anew after the disk refused something.
    package var onReopening: @Sendable (DiskReopening) -> Void

    /// Bytes of the budget set apart for what is not a table: manifest, option files, mark.
    var reservedByteCount: Int { min(8 << 20, max(1 << 20, byteCountMax / 32)) }

    /// The smallest budget that is accepted, bytes.
    package static let byteCountMaxLowest = 32 << 20
    /// The largest number of blocks that is accepted: the index has 64 shards of a million.
    package static let blockCountMaxHighest = 60_000_000

    /// Creates a configuration; unit and segment sizes follow from the budget unless they are given.
    ///
    /// A segment is the larger of 256 MiB and a 64th of the budget, but at most a 16th of it; a unit is a
    /// quarter of a segment, 4 to 64 MiB, never more than the segment.
    package init(
        directory: String,
        byteCountMax: Int,
        unitByteCount: Int? = nil,
        segmentByteCount: Int? = nil,
        blockCountMax: Int = 4_000_000,
        unitCountMax: Int = 8_192,
        compresses: Bool = true,
        shouldCarry: @escaping @Sendable (BlockIdentity) -> Bool = { _ in false },
        onReopening: @escaping @Sendable (DiskReopening) -> Void = { _ in }
    ) {
        let segment =
            segmentByteCount ?? min(max(256 << 20, byteCountMax / 64), max(byteCountMax / 16, 1 << 20))
        self.directory = directory
        self.byteCountMax = byteCountMax
        self.unitByteCount = unitByteCount ?? min(segment, max(4 << 20, min(segment / 4, 64 << 20)))
        self.segmentByteCount = segment
        self.blockCountMax = blockCountMax
        self.unitCountMax = unitCountMax
        self.compresses = compresses
        self.shouldCarry = shouldCarry
        self.onReopening = onReopening
    }
}
