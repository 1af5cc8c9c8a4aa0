package import Blocks
import PayloadCoding
import Synchronization

/// One unit being written; used by one thread, ended by `finish` or `cancel`.
///
/// Room is made before anything is written. A block for which the unit has no room left makes the writer
/// finish what it has and go on with a further table: what was appended before is durable a little earlier
/// then.
package final class UnitWriter {
    private let tier: DiskTier
    private let scratch = CodecScratch()
    private var table: UnitTable?
    private var finishedByteCount = 0
    private var isOver = false
    /// Blocks appended so far.
    package private(set) var blockCount = 0

    init(_ tier: DiskTier) { self.tier = tier }

    deinit { cancel() }

    /// Bytes appended so far, after coding.
    package var byteCount: Int { finishedByteCount + (table?.byteCount ?? 0) }

    /// Whether the unit should be finished.
    package var isFull: Bool {
        byteCount >= tier.configuration.unitByteCount || blockCount >= tier.unitBlockCountMax
    }

    /// Codes and writes one block; it stays invisible until `finish`.
    ///
    /// `header` describes the payload as the client gave it; the writer chooses the codec. Throws
    /// `.limitExceeded` for a payload above the tier's `payloadByteCountMax`, which leaves the unit usable,
    /// and `.storageFailure`, after which only `cancel` is left.
    package func append(
        header: BlockHeader,
        key: RawSpan,
        payload: UnsafeRawBufferPointer
    ) throws(CacheError) {
        guard !isOver else { throw CacheError(.storageFailure, "the unit is over") }
        guard payload.count == header.payloadByteCount, payload.count > 0,
            key.byteCount == header.keyByteCount,
            payload.count <= tier.payloadByteCountMax
        else {
            throw CacheError(
                .limitExceeded,
                "the disk tier takes payloads up to \(tier.payloadByteCountMax) bytes"
            )
        }
        let cost = UnitTable.cost(of: header)
        let table = try tableWithRoom(for: cost)
        let coding =
            unsafe tier.configuration.compresses
            ? CodecProbe.choose(
                for: payload,
                elementType: header.attributes.elementType,
                scratch: scratch
            ) : .raw
        let encoded = unsafe EncodedPayload(
            payload,
            payloadChecksum: header.payloadChecksum,
            coding: coding,
            scratch: scratch
        )
        var stored = header
        stored.codec = encoded.coding.codec
        stored.storedByteCount = encoded.storedByteCount
        stored.storedChecksum = encoded.storedChecksum
        do throws(CacheError) {
            let block = tier.writeState.withLock { $0.register(stored) }.number
            try table.begin(block, header: stored, key: key)
            var piece = 0
            try unsafe encoded.forEachPiece(scratch: scratch) { bytes throws(CacheError) in
                piece += 1
                try unsafe table.append(block, piece: piece, bytes)
            }
        } catch {
            fail()
            throw error
        }
        tier.counters.blocksByCodec.withLock { $0[stored.codec.rawValue, default: 0] += 1 }
        tier.openTableByteCount.store(table.byteCount, ordering: .relaxed)
        blockCount += 1
    }

    /// Makes the unit durable and visible: when this returns, its blocks survive a crash and can be read.
    ///
    /// Carries the tombstones and attribute changes that wait, too; does nothing when there is nothing to
    /// write.
    package func finish() throws(CacheError) {
        guard !isOver else { throw CacheError(.storageFailure, "the unit is over") }
        do throws(CacheError) {
            if table == nil, tier.writeState.withLock({ $0.pendingRecordCount }) > 0 {
                table = try tier.openTable(room: tier.configuration.unitByteCount)
            }
            try finishTable()
        } catch {
            fail()
            throw error
        }
        end()
    }

    /// Gives the unit up; nothing that is not durable yet becomes visible.
    package func cancel() {
        guard !isOver else { return }
        fail()
    }

    private func tableWithRoom(for cost: Int) throws(CacheError) -> UnitTable {
        do throws(CacheError) {
            if let table {
                if table.byteCount + cost <= table.room - UnitTable.overheadByteCount { return table }
                try finishTable()
            }
            // Half a unit more than a full one: a usual block never starts a table of its own.
            let unit = tier.configuration.unitByteCount
            let fresh = try tier.openTable(room: max(unit + unit / 2, cost))
            table = fresh
            return fresh
        } catch {
            fail()
            throw error
        }
    }

    private func finishTable() throws(CacheError) {
        guard let table else { return }
        try tier.commit(table, isCarried: false)
        finishedByteCount += table.byteCount
        self.table = nil
    }

    private func fail() {
        if table != nil {
            tier.counters.unitsFailed.count()
            tier.abandonTable()
        }
        end()
    }

    private func end() {
        isOver = true
        table = nil
        tier.openTableByteCount.store(0, ordering: .relaxed)
        tier.isWriting.store(false, ordering: .releasing)
    }
}
