package import Blocks
internal import Synchronization

extension MemoryTier {
    /// Leases the block with this identity and key; `nil` when absent, expired or stored under another key.
    ///
    /// Counts a hit, but does not touch: the caller touches the blocks of a prefix together, from tail to head.
    package func lease(_ identity: BlockIdentity, key: RawSpan) -> BlockLease? {
        proven(shard(of: identity).lease(identity, key: key))
    }

    /// Leases the block that `handle` names, without counting a hit; `nil` when it has gone or expired.
    package func lease(_ handle: BlockHandle) -> BlockLease? {
        proven(shard(ofSlot: handle.slot).lease(handle))
    }

    /// Whether the block that `handle` names is still there.
    package func holds(_ handle: BlockHandle) -> Bool {
        shard(ofSlot: handle.slot).holds(handle)
    }

    /// What is known of the block; `nil` when absent or expired.
    package func summary(_ identity: BlockIdentity) -> BlockSummary? {
        shard(of: identity).summary(identity)
    }

    /// The block's current residency and its tokens; `nil` when absent or expired.
    package func look(_ identity: BlockIdentity) -> (handle: BlockHandle, tokenCount: UInt32)? {
        shard(of: identity).look(identity)
    }

    /// The block's current residency; `nil` when absent or expired.
    package func handle(_ identity: BlockIdentity) -> BlockHandle? {
        shard(of: identity).handle(identity)
    }

    /// Tells the policy that the blocks were used, in the given order; stale handles are ignored.
    package func touch(_ handles: [BlockHandle]) {
        core.recency.withLock { recency in
            for handle in handles { recency.touched(handle, at: nil) }
        }
    }

    /// Tells the policy of the uses that a question about a whole chain is, in the given order; stale handles are
    /// ignored.
    package func touch(_ uses: [BlockUse]) {
        for start in stride(from: 0, to: uses.count, by: Self.touchStepCount) {
            core.recency.withLock { recency in
                for use in uses[start..<min(start + Self.touchStepCount, uses.count)] {
                    recency.touched(use.handle, at: use.place)
                }
            }
        }
    }

    /// Uses told of in one hold of the policy's lock: some ten microseconds.
    private static let touchStepCount = 256

    /// Counts a hold on the block, as a lease without an object; `nil` when absent or expired.
    ///
    /// Returns the handle for the one `release` that must follow, and the bytes of the block's extent.
    package func retain(_ identity: BlockIdentity) -> (
        handle: BlockHandle, byteCount: Int, tokenCount: UInt32
    )? {
        shard(of: identity).retain(identity)
    }

    /// Ends one hold; a stale handle is ignored.
    ///
    /// To be called once for each `retain`: once more would end somebody else's lease.
    package func release(_ handle: BlockHandle) {
        shard(ofSlot: handle.slot).release(handle)
    }
}
