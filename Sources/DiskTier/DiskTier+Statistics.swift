import Blocks
import Synchronization

extension DiskTier {
    /// Counters and gauges.
    ///
    /// - Parameter measuresDirectory: walk the directory too, which blocks; without it `directoryByteCount` is what
    ///   the tier accounts for itself.
    package func statistics(measuresDirectory: Bool = true) -> DiskStatistics {
        let totals = index.totals(at: clock.unixMilliseconds())
        let segments = segments.all
        var statistics = DiskStatistics()
        statistics.byteCountMax = configuration.byteCountMax
        statistics.accountedByteCount =
            heldByteCount + graveyard.releasingByteCount + openTableByteCount.load(ordering: .relaxed)
        statistics.directoryByteCount =
            measuresDirectory ? directory.byteCount : statistics.accountedByteCount
        statistics.blockCount = index.count
        statistics.blockCountMax = configuration.blockCountMax
        statistics.indexByteCount = index.byteCount
        statistics.segmentsDroppedByCount = counters.segmentsDroppedByCount.value
        statistics.livePayloadByteCount = totals.payloadByteCount
        statistics.liveStoredByteCount = totals.storedByteCount
        statistics.segmentCount = segments.count
        statistics.unitCount = segments.reduce(0) { $0 + $1.units.count }
        statistics.segmentsDropped = counters.segmentsDropped.value
        statistics.unitsWritten = counters.unitsWritten.value
        statistics.unitsFailed = counters.unitsFailed.value
        statistics.reopenings = counters.reopenings.value
        statistics.blocksWritten = counters.blocksWritten.value
        statistics.payloadByteCountWritten = counters.payloadByteCountWritten.value
        statistics.storedByteCountWritten = counters.storedByteCountWritten.value
        statistics.tableByteCountWritten = counters.tableByteCountWritten.value
        statistics.blocksCarried = counters.blocksCarried.value
        statistics.byteCountCarried = counters.byteCountCarried.value
        statistics.blocksByCodec = counters.blocksByCodec.withLock { $0 }
        statistics.reads = counters.reads.value
        statistics.byteCountRead = counters.byteCountRead.value
        statistics.blocksDamaged = counters.blocksDamaged.value
        statistics.unitsDamaged = openReport.damagedUnits
        statistics.pinnedBlockCount = totals.pinnedBlockCount
        statistics.pinnedByteCount = totals.pinnedByteCount
        statistics.retainedBlockCount = totals.heldBlockCount
        statistics.retainedByteCount = totals.heldByteCount
        statistics.pendingRecordCount = writeState.withLock { $0.pendingRecordCount }
        return statistics
    }
}
