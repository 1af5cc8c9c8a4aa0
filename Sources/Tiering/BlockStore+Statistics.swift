internal import Blocks
internal import DiskTier
internal import MemoryTier
internal import Synchronization

extension BlockStore {
    /// Everything that is counted, by tier and reason.
    package func statistics() -> Statistics {
        var all = Statistics()
        addPuts(&all)
        addReads(&all)
        addMemory(&all)
        addDisk(&all)
        addQueues(&all)
        if configuration.isClustered { addPeers(&all) }
        return all
    }

    /// What happened in one space.
    package func statistics(of space: KeySpace) -> Statistics {
        var all = Statistics()
        let counters = space.counters
        all.add("namespace", text: space.namespace.description)
        all.add("tenant", text: space.tenant.name)
        all.add("blocks", blockCount(space))
        all.add("puts", counters.puts)
        all.add("put_bytes", counters.putBytes)
        all.add("hits_memory", counters.memoryHits)
        all.add("hits_disk", counters.diskHits)
        all.add("hits_peer", counters.peerHits)
        all.add("hit_bytes", counters.hitBytes)
        all.add("misses", counters.misses)
        all.add("match_queries", counters.matchQueries)
        all.add("match_queried_blocks", counters.queriedBlocks)
        all.add("match_matched_blocks", counters.matchedBlocks)
        all.add("match_matched_tokens", counters.matchedTokens)
        return all
    }

    private func addPuts(_ all: inout Statistics) {
        all.add("puts_stored", counters.stored)
        all.add("puts_stored_bytes", counters.storedBytes)
        all.add("puts_stored_tokens", counters.storedTokens)
        all.add("puts_existed", counters.existed)
        all.add("puts_conflict", counters.conflicts)
        all.add("puts_refused_overloaded", counters.refusedOverload)
        all.add("puts_refused_memory", counters.refusedMemory)
        all.add("puts_refused_other", counters.refusedOther)
        all.add("refused_shared_memory", counters.refusedShared)
        all.add("puts_durable", counters.durablePuts)
    }

    private func addReads(_ all: inout Statistics) {
        all.add("hits_memory", counters.memoryHits)
        all.add("hits_memory_bytes", counters.memoryHitBytes)
        all.add("hits_disk", counters.diskHits)
        all.add("hits_disk_bytes", counters.diskHitBytes)
        all.add("hits_tokens", counters.hitTokens)
        all.add("misses_never_seen", counters.missesNeverSeen)
        all.add("misses_evicted", counters.missesEvicted)
        all.add("misses_expired", counters.missesExpired)
        all.add("misses_deleted", counters.missesDeleted)
        all.add("misses_corrupt", counters.missesCorrupt)
        all.add("misses_no_memory", counters.missesNoMemory)
        all.add("misses_disk_error", counters.missesDiskError)
        all.add("misses_overloaded", counters.missesOverload)
        all.add("match_queries", counters.matchQueries)
        all.add("match_queried_blocks", counters.matchQueriedBlocks)
        all.add("match_matched_memory_blocks", counters.matchedMemoryBlocks)
        all.add("match_matched_disk_blocks", counters.matchedDiskBlocks)
        all.add("match_matched_tokens", counters.matchedTokens)
        all.add("promotions", counters.promotions)
        all.add("promoted_bytes", counters.promotedBytes)
        all.add("prefetches", counters.prefetches)
        all.add("prefetches_refused", counters.prefetchesRefused)
        all.add("loads_shared", counters.sharedLoads)
    }

    private func addMemory(_ all: inout Statistics) {
        let memory = self.memory.statistics()
        all.add("memory_arena_bytes", memory.arenaByteCount)
        all.add("memory_prefaulted_bytes", memory.prefaultedByteCount)
        all.add("memory_blocks", memory.blockCount)
        all.add("memory_used_bytes", memory.usedByteCount)
        all.add("memory_free_bytes", memory.freeByteCount)
        all.add("memory_largest_free_bytes", memory.largestFreeByteCount)
        all.add("memory_reserved_bytes", memory.reservedByteCount)
        all.add("memory_dirty_bytes", memory.dirtyByteCount)
        all.add("memory_pinned_bytes", memory.pinnedByteCount)
        all.add("memory_leased_bytes", memory.leasedByteCount)
        all.add("memory_packed_blocks", memory.packedBlockCount)
        all.add("memory_packed_bytes", memory.packedByteCount)
        all.add("memory_packed_payload_bytes", memory.packedPayloadByteCount)
        all.add("memory_packs", counters.packs)
        all.add("memory_unpacks", counters.unpacks)
        all.add("memory_evicted_demoted", counters.memoryEvictedDemoted)
        all.add("memory_evicted_lost", counters.memoryEvictedLost)
        all.add("blocks_expired", counters.expired)
        all.add("blocks_deleted", counters.deleted)
        all.add("blocks_replaced", counters.replaced)
        all.add("memory_corrupt", counters.corruptMemory)
        addMemoryFile(memory, &all)
    }

    private func addMemoryFile(_ memory: MemoryStatistics, _ all: inout Statistics) {
        let report = memoryFileReport
        all.add("memory_file", text: report?.path ?? "off")
        all.add("memory_claimed_bytes", memory.claimedByteCount)
        all.add("memory_recovered_blocks", report?.blockCount ?? 0)
        all.add("memory_recovered_bytes", report?.byteCount ?? 0)
        all.add(
            "memory_recovered_damaged",
            (report?.damagedBlockCount ?? 0) + Int(clamping: memory.damagedBlockTotal)
        )
        all.add("memory_recovered_verified", Int(clamping: memory.verifiedBlockTotal))
        all.add("memory_recovered_unverified", memory.unverifiedBlockCount)
        all.add("memory_discarded", text: report?.discarded ?? "")
        all.add("memory_changes_lost", self.memory.pendingChanges?.lostCount ?? 0)
    }

    private func addDisk(_ all: inout Statistics) {
        guard let disk = self.disk?.statistics(measuresDirectory: false) else {
            all.add("disk", text: "off")
            return
        }
        let status = writeBehind?.status
        all.add("disk", text: status?.failure == nil ? "on" : "failing")
        all.add("disk_budget_bytes", disk.byteCountMax)
        all.add("disk_directory_bytes", disk.directoryByteCount)
        all.add("disk_blocks", disk.blockCount)
        all.add("disk_blocks_max", disk.blockCountMax)
        all.add("disk_index_bytes", disk.indexByteCount)
        all.add("disk_segments_dropped_by_count", disk.segmentsDroppedByCount)
        all.add("disk_payload_bytes", disk.livePayloadByteCount)
        all.add("disk_stored_bytes", disk.liveStoredByteCount)
        all.add("disk_compression_ratio", ratio: disk.compressionRatio)
        all.add("disk_segments", disk.segmentCount)
        all.add("disk_units", disk.unitCount)
        all.add("disk_pinned_bytes", disk.pinnedByteCount)
        all.add("disk_segments_dropped", disk.segmentsDropped)
        all.add("disk_reopenings", disk.reopenings)
        all.add("disk_table_bytes_written", disk.tableByteCountWritten)
        all.add("disk_payload_bytes_written", disk.payloadByteCountWritten)
        all.add("disk_carried_blocks", disk.blocksCarried)
        all.add("disk_evicted", counters.diskEvicted)
        all.add("disk_corrupt", counters.corruptDisk)
    }

    private func addPeers(_ all: inout Statistics) {
        all.add("hits_peer", counters.peerHits)
        all.add("hits_peer_bytes", counters.peerHitBytes)
        all.add("match_matched_peer_blocks", counters.matchedPeerBlocks)
        all.add("peer_loads", counters.peerLoads)
        all.add("peer_loaded_bytes", counters.peerLoadedBytes)
        all.add("peer_loads_shared", counters.sharedPeerLoads)
        all.add("peer_loads_under_way", peerLoader.depth)
        all.add("peer_corrupt", counters.corruptPeer)
        let waiting = handoff.status
        all.add("handoff_queue_blocks", waiting.count)
        all.add("handoff_queue_bytes", waiting.byteCount)
        all.add("handoff_blocks", counters.handedOff)
        all.add("handoff_bytes", counters.handedOffBytes)
        all.add("handoff_kept", counters.handoffsKept)
        all.add("handoff_cancelled", counters.handoffsCancelled)
        all.add("transfers_refused_deleted", counters.refusedDeleted)
        all.add("misses_catching_up", counters.missesCatchingUp)
        if let deletions {
            let status = deletions.status
            all.add("deletion_log_entries", status.count)
            all.add("deletion_log_floor_ms", Int(clamping: status.floor))
        }
    }

    private func addQueues(_ all: inout Statistics) {
        let status = writeBehind?.status
        all.add("write_queue_blocks", status?.count ?? 0)
        all.add("write_queue_bytes", status?.byteCount ?? 0)
        all.add("write_units", counters.unitsWritten)
        all.add("write_blocks", counters.blocksWritten)
        all.add("write_bytes", counters.bytesWritten)
        all.add("write_failures", counters.writeFailures)
        all.add("write_failure", text: status?.failure?.message ?? "")
        all.add("load_queue_blocks", loader.depth)
        let leases = self.leases.totals
        all.add("leases", leases.count)
        all.add("leases_memory_bytes", leases.memoryByteCount)
        all.add("leases_disk_bytes", leases.diskByteCount)
        all.add("leases_refused", counters.leasesRefused)
        all.add("leases_expired", counters.leasesExpired)
        all.add("puts_waiting", spaceWaiters.count)
        all.add("draining", isDraining.load(ordering: .relaxed) ? 1 : 0)
    }
}
