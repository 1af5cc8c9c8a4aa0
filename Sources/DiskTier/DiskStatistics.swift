/// Counters and gauges of the disk tier; all byte figures in bytes.
package struct DiskStatistics: Sendable, Hashable {
    /// The configured budget.
    package var byteCountMax = 0
    /// What the budget is held against: tables, the unit being written, what is being unlinked, bookkeeping.
    package var accountedByteCount = 0
    /// The files in the directory as a walk finds them.
    package var directoryByteCount = 0
    /// Blocks in the index.
    package var blockCount = 0
    /// Most blocks allowed.
    package var blockCountMax = 0
    /// Memory that the index takes for the blocks in it.
    package var indexByteCount = 0
    /// Segments dropped because the index was full although the bytes were within the budget.
    package var segmentsDroppedByCount = 0
    /// Payload bytes of the blocks in the index, as the clients gave them.
    package var livePayloadByteCount = 0
    /// The same after coding, as stored.
    package var liveStoredByteCount = 0
    /// Segments held.
    package var segmentCount = 0
    /// Units held.
    package var unitCount = 0
    /// Segments dropped whole since the start.
    package var segmentsDropped = 0
    /// Units finished since the start.
    package var unitsWritten = 0
    /// Units that failed or were cancelled since the start.
    package var unitsFailed = 0
    /// How often the database was opened anew since the start, because the disk had refused a change of it.
    package var reopenings = 0
    /// Blocks written since the start, without carried ones.
    package var blocksWritten = 0
    /// Payload bytes of those blocks.
    package var payloadByteCountWritten = 0
    /// The same after coding.
    package var storedByteCountWritten = 0
    /// Bytes of all tables written since the start, carried blocks included: over `storedByteCountWritten`
    /// this is the write amplification.
    package var tableByteCountWritten = 0
    /// Blocks carried forward from dropped segments.
    package var blocksCarried = 0
    /// Stored bytes of those.
    package var byteCountCarried = 0
    /// Blocks written raw, with LZ4, and with LZ4 on byte planes.
    package var blocksByCodec: [UInt8: Int] = [:]
    /// Reads that gave a block.
    package var reads = 0
    /// Payload bytes of those reads.
    package var byteCountRead = 0
    /// Blocks found damaged since the start.
    package var blocksDamaged = 0
    /// Units whose records could not be read at the start.
    package var unitsDamaged = 0
    /// Blocks pinned now.
    package var pinnedBlockCount = 0
    /// Their payload bytes.
    package var pinnedByteCount = 0
    /// Blocks held by leases now.
    package var retainedBlockCount = 0
    /// Their payload bytes.
    package var retainedByteCount = 0
    /// Tombstones, clears and attribute changes that wait for a unit.
    package var pendingRecordCount = 0

    /// Creates zeros.
    package init() {}

    /// Payload bytes per stored byte of the blocks held; 1 when there are none.
    package var compressionRatio: Double {
        liveStoredByteCount > 0 ? Double(livePayloadByteCount) / Double(liveStoredByteCount) : 1
    }
}
