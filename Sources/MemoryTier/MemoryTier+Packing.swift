package import Blocks
package import PayloadCoding
internal import Synchronization

/// Blocks may lie coded in memory, so that it holds more of them. A packed block is found, matched and evicted like any
/// other, but not read in place: it is unpacked first, back to an extent as long as its payload.
extension MemoryTier {
    /// What became of a block that was to be packed.
    package enum PackOutcome: Sendable, Hashable {
        /// It takes less memory now.
        case packed
        /// Its payload does not shrink enough.
        case incompressible
        /// It was read since; it has that many hits now.
        case used(hitCount: UInt32)
        /// Somebody reads it, or it is not on disk yet.
        case busy
        /// It has gone, is packed already, or too large.
        case gone
        /// There was no room to put the coded bytes.
        case noRoom
    }

    /// Payloads that are worth the work, bytes.
    private static let packedByteCounts = (8 << 10)...(64 << 20)
    /// The largest share of a payload, in sixteenths, that its coded form may take.
    private static let sixteenthsMax = 15

    /// Codes the payload of a block, unless it has other hits than `hitCount`.
    ///
    /// Takes a millisecond for a few MiB: for a thread that may work. Evicts where it must make room for what it saves.
    ///
    /// - Parameter room: Where the coded bytes are gathered; the caller keeps it from call to call.
    package func pack(
        _ handle: BlockHandle,
        hitCount: UInt32,
        scratch: CodecScratch,
        room: inout [UInt8]
    ) -> PackOutcome {
        switch shard(ofSlot: handle.slot).packingCandidate(handle, hitCount: hitCount) {
        case .gone: return .gone
        case .busy: return .busy
        case .used(let hitCount): return .used(hitCount: hitCount)
        case .free(let lease): return pack(lease, scratch: scratch, room: &room)
        }
    }

    private func pack(_ lease: BlockLease, scratch: CodecScratch, room: inout [UInt8]) -> PackOutcome {
        let payloadByteCount = unsafe lease.payload.count
        guard Self.packedByteCounts.contains(payloadByteCount) else { return .gone }
        let coding = unsafe CodecProbe.choose(
            for: lease.payload,
            elementType: lease.attributes.elementType,
            scratch: scratch
        )
        guard coding.codec != .raw else { return .incompressible }
        unsafe PackedPayload.encode(lease.payload, coding, scratch: scratch, into: &room)
        guard room.count <= payloadByteCount / 16 * Self.sixteenthsMax else { return .incompressible }
        let key = lease.keyBytes
        let layout = ExtentLayout(keyByteCount: key.count, payloadByteCount: room.count)
        guard let extent = try? takeExtent(granuleCount: layout.granuleCount) else { return .noRoom }
        let reservation = unsafe Reservation(
            lease.identity,
            key: key.span.bytes,
            layout: layout,
            payloadByteCount: room.count,
            extent: extent,
            core: core
        )
        var header = BlockHeader(
            identity: lease.identity,
            keyByteCount: key.count,
            attributes: lease.attributes,
            payloadByteCount: payloadByteCount,
            payloadChecksum: lease.payloadChecksum
        )
        header.codec = coding.codec
        header.storedByteCount = room.count
        unsafe room.withUnsafeBytes { coded in
            unsafe reservation.payload.copyMemory(from: coded)
            header.storedChecksum = unsafe PayloadChecksum.of(coded)
        }
        return move(lease.handle, to: reservation, header) ? .packed : .busy
    }

    /// Whether the block is here and packed.
    package func isPacked(_ identity: BlockIdentity) -> Bool { shard(of: identity).isPacked(identity) }

    /// Leases a packed block after it was decoded and proved; `nil` when it is not here, not packed, or damaged, and then it
    /// goes.
    ///
    /// Evicts like a put, and throws what `reserve` throws.
    package func unpack(
        _ identity: BlockIdentity,
        key: RawSpan,
        scratch: CodecScratch
    ) throws(CacheError) -> BlockLease? {
        guard let packed = shard(of: identity).leasePacked(identity, key: key) else { return nil }
        let lease = packed.lease
        let reservation = try reserve(identity, key: key, payloadByteCount: packed.payloadByteCount)
        guard let codec = codec(of: lease),
            unsafe PackedPayload.decode(lease.payload, codec, into: reservation.payload, scratch: scratch),
            unsafe PayloadChecksum.of(UnsafeRawBufferPointer(reservation.payload)) == lease.payloadChecksum
        else {
            // Another may have unpacked it meanwhile: then these coded bytes are nobody's any more.
            guard isPacked(identity) else { return self.lease(lease.handle) }
            remove(lease.handle, reason: .corrupt)
            return nil
        }
        let header = BlockHeader(
            identity: identity,
            keyByteCount: key.byteCount,
            attributes: lease.attributes,
            payloadByteCount: packed.payloadByteCount,
            payloadChecksum: lease.payloadChecksum
        )
        guard move(lease.handle, to: reservation, header) else { return nil }
        _ = shard(of: identity).markVerified(lease.handle)
        return self.lease(lease.handle)
    }

    /// Bytes that no block and no reservation holds, and that a memory file has not claimed yet.
    package var unusedByteCount: Int { core.space.withLock { $0.unusedByteCount } }

    private func codec(of lease: BlockLease) -> PayloadCodec? {
        unsafe (try? BlockHeader(decoding: lease.head.bytes))?.codec
    }

    private func move(_ handle: BlockHandle, to reservation: Reservation, _ header: BlockHeader) -> Bool {
        reservation.encode(header)
        guard let oldNode = shard(ofSlot: handle.slot).move(handle, to: reservation.extent, header) else {
            return false
        }
        reservation.spend()
        core.space.withLock { $0.allocator.free(oldNode) }
        return true
    }
}
