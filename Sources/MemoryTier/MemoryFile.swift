internal import Blocks
internal import CPosix
internal import Glibc
internal import Synchronization

/// An arena in a file in memory, with what it takes to find its blocks again: the next run of the node takes it back
/// after this one ended, however it ended.
///
/// Nothing is written for that at the end: a file is always as a killed process would leave it. The kernel keeps it
/// until somebody removes it or the host restarts.
@safe
final class MemoryFile: @unchecked Sendable {
    // Sendable: constants, and state behind a lock or atomics.

    /// Who uses the file locks this byte of it, exclusively, for as long as the process lives.
    static let ownerLockOffset: Int64 = 0
    /// Whoever is given the memory shares a lock on this byte, for as long as anything of it is mapped.
    static let readerLockOffset: Int64 = 1

    /// The arena that the file begins with.
    let arena: Arena
    let path: String
    let layout: MemoryFileLayout
    /// Which extents are blocks.
    let directory: ExtentDirectory
    /// What the disk does not have yet.
    let changes: PendingChanges
    /// Commits so far, over all runs.
    let sequence = Atomic<UInt64>(0)

    private let claimed = Atomic<Int>(0)
    private let growth: Mutex<Growth>
    private let state: UnsafeMutableRawPointer
    private let header: Mutex<MemoryFileHeader>

    private struct Growth {
        var isShort = false
        let onShortage: @Sendable (_ byteCount: Int) -> Void
    }

    /// Bytes claimed at a time when a put waits for them.
    static let claimStepByteCount = 8 << 20

    /// Maps an open and locked file of the layout's length.
    init(
        _ descriptor: Int32,
        _ header: MemoryFileHeader,
        layout: MemoryFileLayout,
        sharesWrites: Bool,
        _ configuration: MemoryFileConfiguration
    ) throws(CacheError) {
        let arena = try Arena(
            file: descriptor,
            byteCount: layout.arenaByteCount,
            fileByteCount: layout.byteCount,
            sharesWrites: sharesWrites
        )
        self.arena = arena
        self.layout = layout
        path = configuration.path
        // SAFETY: the layout's parts lie inside the mapping, which lives as long as the arena, which this object keeps.
        directory = unsafe ExtentDirectory(
            at: arena.baseAddress + layout.directoryOffset,
            placeCount: layout.placeCount
        )
        changes = unsafe PendingChanges(
            at: arena.baseAddress + layout.changesOffset,
            placeCount: layout.changeCount,
            in: arena
        )
        unsafe state = arena.baseAddress + layout.stateOffset
        growth = Mutex(Growth(onShortage: configuration.onShortage))
        self.header = Mutex(header)
    }

    // MARK: Runs

    /// Changes the header: the older of the two places is written, so a torn write leaves the other.
    func updateHeader(_ change: (inout MemoryFileHeader) -> Void) {
        header.withLock { header in
            change(&header)
            header.generation += 1
            let number = Int(header.generation % UInt64(MemoryFileLayout.headerCount))
            let bytes = header.encoded
            // SAFETY: both places lie inside the mapping.
            unsafe (arena.baseAddress + layout.headerOffset + number * MemoryFileLayout.pageByteCount)
                .copyMemory(from: bytes, byteCount: bytes.count)
        }
    }

    /// Whose blocks the file says that it holds or has held.
    var occupants: ArenaTenancy.Occupants { header.withLock { $0.occupants } }

    // MARK: Blocks

    /// Says that an extent is a block, the latest one.
    func publish(_ extent: Extent, isClean: Bool) {
        let number = sequence.wrappingAdd(1, ordering: .relaxed).newValue
        directory.publish(extent, sequence: number, isClean: isClean)
    }

    /// Writes a block's attributes to its extent; under the lock of its shard.
    func rewrite(_ block: BlockEntry) {
        let byteCount = BlockHeader.byteCount + block.keyByteCount
        // SAFETY: the head of a held extent, which nobody reads but under the same lock.
        let head = unsafe UnsafeMutableRawBufferPointer(mutating: arena.head(of: block))
        unsafe BlockHeader.rewrite(
            block.attributes,
            keyByteCount: block.keyByteCount,
            in: UnsafeMutableRawBufferPointer(rebasing: head[..<byteCount])
        )
    }

    // MARK: Pages

    /// Bytes of the arena, from its start on, that have pages: only these are given out, for a store to a page that the
    /// file system has no room for would end the process.
    var claimedByteCount: Int { claimed.load(ordering: .acquiring) }

    /// Takes up what the run before claimed, if the file says so and has as many pages.
    func restoreClaim(allocatedByteCount: Int) {
        let word = unsafe larder_load_acquire(state)
        let inverted = unsafe larder_load_acquire(state + 8)
        guard word == ~inverted, let byteCount = Int(exactly: word),
            (0...layout.arenaByteCount).contains(byteCount), byteCount <= allocatedByteCount
        else { return }
        claimed.store(byteCount, ordering: .releasing)
    }

    /// Claims at least `byteCount` more bytes of the arena, or what is left of it.
    ///
    /// Returns the bytes that are claimed then; `nil` when there is nothing left, or no room for it. Blocks for a few
    /// milliseconds.
    func claim(byteCount: Int) -> Int? {
        let (claimed, shortage) = growth.withLock { growth -> (Int?, (@Sendable (Int) -> Void)?) in
            let start = claimedByteCount
            let count = min(max(byteCount, Self.claimStepByteCount), layout.arenaByteCount - start)
            guard count > 0, !growth.isShort else { return (nil, nil) }
            guard MemoryFileOpening.allocate(arena.descriptor, at: start, count) else {
                growth.isShort = true
                return (nil, growth.onShortage)
            }
            let end = start + count
            unsafe larder_store_release(state, UInt64(end))
            unsafe larder_store_release(state + 8, ~UInt64(end))
            self.claimed.store(end, ordering: .releasing)
            return (end, nil)
        }
        shortage?(claimedByteCount)
        return claimed
    }

    /// Whether the file system had no room for more.
    var isShort: Bool { growth.withLock { $0.isShort } }
}
