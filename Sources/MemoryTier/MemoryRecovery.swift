internal import Blocks
internal import Glibc
internal import Synchronization

/// Makes the blocks of a memory file visible again, without touching their payloads.
///
/// A block counts when its place in the directory proves, its extent lies inside the arena and overlaps no other, and the
/// header at its start proves and is as long as the extent. Whatever does not is left out, and its place cleared: a
/// miss. Of two blocks of one identity the later counts.
struct MemoryRecovery {
    let file: MemoryFile
    let core: MemoryCore
    let shards: [Shard]

    /// Fills the empty shards, the policy in the order of commits, and the allocator.
    func run() -> (blocks: [TakenOverBlock], report: MemoryFileReport) {
        var report = core.report ?? MemoryFileReport()
        let records = records(&report)
        let now = core.now
        var blocks: [TakenOverBlock] = []
        blocks.reserveCapacity(records.count)
        var owners: [(extent: Extent, slot: UInt32)] = []
        owners.reserveCapacity(records.count)
        var replacedNodes: Set<UInt32> = []
        var buffer = [UInt8](repeating: 0, count: BlockHeader.byteCount + Limits.keyByteCountMax)
        for record in records {
            guard let header = header(of: record.extent, &buffer) else {
                drop(record.extent.node, &report.damagedBlockCount)
                continue
            }
            guard !header.attributes.isExpired(at: now) else {
                drop(record.extent.node, &report.expiredBlockCount)
                continue
            }
            let shard = shards[Int(truncatingIfNeeded: header.identity.bits) & (shards.count - 1)]
            let (handle, replacedNode) = shard.takeOver(
                header,
                extent: record.extent,
                isDirty: !record.isClean,
                now: now
            )
            if let replacedNode { replacedNodes.insert(replacedNode) }
            owners.append((record.extent, handle.slot))
            blocks.append(
                TakenOverBlock(
                    handle: handle,
                    identity: header.identity,
                    summary: BlockSummary(
                        payloadByteCount: header.payloadByteCount,
                        payloadChecksum: header.payloadChecksum,
                        attributes: header.attributes
                    ),
                    wasClean: record.isClean
                )
            )
            report.byteCount += record.extent.byteCount
        }
        if !replacedNodes.isEmpty {
            for owner in owners where replacedNodes.contains(owner.extent.node) {
                report.byteCount -= owner.extent.byteCount
            }
            blocks = zip(blocks, owners).filter { !replacedNodes.contains($1.extent.node) }.map(\.0)
            owners.removeAll { replacedNodes.contains($0.extent.node) }
        }
        report.blockCount = owners.count
        hold(owners)
        core.hasUnverified.store(!owners.isEmpty, ordering: .relaxed)
        return (blocks, report)
    }

    /// The places that prove and whose extents can be, in the order of commits.
    private func records(_ report: inout MemoryFileReport) -> [ExtentDirectory.Record] {
        var records: [ExtentDirectory.Record] = []
        var latest: UInt64 = 0
        for place in 0..<file.directory.placeCount {
            let node = UInt32(truncatingIfNeeded: place)
            switch file.directory.content(of: node) {
            case .nothing: break
            case .damaged: drop(node, &report.damagedBlockCount)
            case .record(let record):
                latest = max(latest, record.sequence)
                records.append(record)
            }
        }
        file.sequence.store(latest, ordering: .relaxed)
        records.sort { $0.extent.firstGranule < $1.extent.firstGranule }
        let possible = disjoint(records)
        if possible.count < records.count {
            let kept = Set(possible.map(\.extent.node))
            for record in records where !kept.contains(record.extent.node) {
                drop(record.extent.node, &report.damagedBlockCount)
            }
        }
        return possible.sorted { $0.sequence < $1.sequence }
    }

    /// Those inside the arena that overlap no other: of two that do, either may be wrong.
    private func disjoint(_ records: [ExtentDirectory.Record]) -> [ExtentDirectory.Record] {
        let end = granuleCount(for: records)
        var overlapped = [Bool](repeating: false, count: records.count)
        var highest = (end: 0, index: -1)
        for (index, record) in records.enumerated() {
            let first = record.extent.firstGranule
            let last = first + record.extent.granuleCount
            if record.extent.granuleCount == 0 || last > end { overlapped[index] = true }
            if first < highest.end, highest.index >= 0 {
                overlapped[index] = true
                overlapped[highest.index] = true
            }
            if last > highest.end { highest = (last, index) }
        }
        return zip(records, overlapped).compactMap { $1 ? nil : $0 }
    }

    /// Granules with pages: what the run before claimed, or, if the file does not tell that, what the records need.
    private func granuleCount(for records: [ExtentDirectory.Record]) -> Int {
        let needed = records.map { $0.extent.byteOffset + $0.extent.byteCount }.max() ?? 0
        let missing = min(needed, file.layout.arenaByteCount) - file.claimedByteCount
        if missing > 0 { _ = core.grow(byteCount: missing) }
        return file.claimedByteCount / Extent.granuleByteCount
    }

    /// Reads by the file, not by the mapping: a copy of some hundred bytes costs less than the first touch of a page.
    private func header(of extent: Extent, _ buffer: inout [UInt8]) -> BlockHeader? {
        let wanted = min(buffer.count, extent.byteCount)
        // SAFETY: pread fills at most the array's bytes.
        let count = unsafe pread(file.arena.descriptor, &buffer, wanted, off_t(extent.byteOffset))
        guard count == wanted else { return nil }
        let bytes = unsafe buffer.span.bytes.extracting(first: count)
        guard let header = try? BlockHeader(decoding: bytes),
            ExtentLayout(keyByteCount: header.keyByteCount, payloadByteCount: header.storedByteCount)
                .granuleCount == extent.granuleCount
        else { return nil }
        return header
    }

    private func drop(_ node: UInt32, _ count: inout Int) {
        file.directory.clear(node)
        count += 1
    }

    private func hold(_ owners: [(extent: Extent, slot: UInt32)]) {
        let byAddress = owners.map(\.extent).sorted { $0.firstGranule < $1.firstGranule }
        core.space.withLock { space in
            space.takeOver(byAddress)
            for owner in owners { space.allocator.setOwner(owner.slot, of: owner.extent.node) }
        }
    }
}
