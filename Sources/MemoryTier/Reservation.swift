package import Blocks
internal import Synchronization

/// Space in the arena for one block that is being received; given back on its own unless it is committed.
///
/// Owned by one party at a time, who writes all of `payload` and then commits, once.
@safe
package final class Reservation: @unchecked Sendable {
    // Sendable: the owner alone writes payload and `isSpent`; handing a reservation on hands on both.

    /// Which block it will be.
    package let identity: BlockIdentity
    /// Where the payload goes: as long as was asked, 64-byte aligned, holding what was there before.
    package let payload: UnsafeMutableRawBufferPointer

    let core: MemoryCore
    let extent: Extent
    let keyByteCount: Int
    private var isSpent = false

    /// Bytes of the payload.
    package var payloadByteCount: Int { unsafe payload.count }

    /// The client's key, copied; not to be asked for once the reservation is committed.
    package var keyBytes: [UInt8] {
        // SAFETY: the key lies in the extent behind the header's place, and was copied there by `init`.
        unsafe Array(
            UnsafeRawBufferPointer(
                rebasing: core.arena.bytes(of: extent)[BlockHeader.byteCount...].prefix(keyByteCount)
            )
        )
    }

    /// Where the payload lies behind the arena's first byte.
    package var payloadOffset: Int {
        unsafe core.arena.offset(of: UnsafeRawPointer(payload.baseAddress))
    }

    /// Owns a granted extent and copies the key behind the header's place.
    init(
        _ identity: BlockIdentity,
        key: RawSpan,
        layout: ExtentLayout,
        payloadByteCount: Int,
        extent: Extent,
        core: MemoryCore
    ) {
        self.identity = identity
        self.core = core
        self.extent = extent
        keyByteCount = key.byteCount
        let bytes = unsafe core.arena.bytes(of: extent)
        // SAFETY: the layout's parts lie inside the extent, which was made for it.
        unsafe payload = UnsafeMutableRawBufferPointer(
            rebasing: bytes[layout.payloadOffset..<(layout.payloadOffset + payloadByteCount)]
        )
        unsafe key.withUnsafeBytes { source in
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[BlockHeader.byteCount...]).copyMemory(
                from: source
            )
        }
    }

    /// Writes the header before the key that is there already.
    func encode(_ header: BlockHeader) {
        let bytes = unsafe core.arena.bytes(of: extent)
        // SAFETY: the key lies inside the extent; `encode` writes each of its bytes over itself.
        let key = unsafe UnsafeRawBufferPointer(
            rebasing: bytes[BlockHeader.byteCount..<(BlockHeader.byteCount + keyByteCount)]
        )
        unsafe header.encode(key: key.bytes, into: bytes)
    }

    /// Says that the extent is the block's now, or given back; traps the second time, a mistake of ours.
    func spend() {
        precondition(!isSpent, "a reservation is committed once")
        isSpent = true
    }

    deinit {
        guard !isSpent else { return }
        core.space.withLock { $0.giveBack(extent) }
    }
}
