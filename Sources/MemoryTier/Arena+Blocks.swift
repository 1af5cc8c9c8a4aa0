internal import Blocks

/// The places of a block's parts in the arena. Valid while a lease, a reservation or the shard's lock keeps the
/// extent from being freed.
extension Arena {
    /// Header and key.
    @inline(__always)
    func head(of block: BlockEntry) -> UnsafeRawBufferPointer {
        unsafe bytes(atByteOffset: block.byteOffset, byteCount: BlockHeader.byteCount + block.keyByteCount)
    }

    /// Header and key of the extent at `offset`.
    func head(atByteOffset offset: Int, keyByteCount: Int) -> UnsafeRawBufferPointer {
        unsafe bytes(atByteOffset: offset, byteCount: BlockHeader.byteCount + keyByteCount)
    }

    /// The payload as it lies there: coded, of a packed block.
    @inline(__always)
    func payload(of block: BlockEntry) -> UnsafeRawBufferPointer {
        let offset = block.byteOffset + block.layout.payloadOffset
        return unsafe bytes(atByteOffset: offset, byteCount: block.storedByteCount)
    }

    /// The key, copied.
    func key(of block: BlockEntry) -> [UInt8] {
        key(atByteOffset: block.byteOffset, byteCount: block.keyByteCount)
    }

    /// The key of the extent at `offset`, copied.
    func key(atByteOffset offset: Int, byteCount: Int) -> [UInt8] {
        unsafe Array(bytes(atByteOffset: offset + BlockHeader.byteCount, byteCount: byteCount))
    }

    @inline(__always)
    private func bytes(atByteOffset offset: Int, byteCount count: Int) -> UnsafeRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && offset <= byteCount - count)
        // SAFETY: the range was checked to lie inside the mapping, which lives as long as the arena.
        return unsafe UnsafeRawBufferPointer(start: baseAddress + offset, count: count)
    }

    /// An extent's bytes, for the one who reserved it.
    func bytes(of extent: Extent) -> UnsafeMutableRawBufferPointer {
        precondition(extent.byteOffset >= 0 && extent.byteOffset <= byteCount - extent.byteCount)
        // SAFETY: the range was checked to lie inside the mapping, which lives as long as the arena.
        return unsafe UnsafeMutableRawBufferPointer(
            start: baseAddress + extent.byteOffset,
            count: extent.byteCount
        )
    }
}
