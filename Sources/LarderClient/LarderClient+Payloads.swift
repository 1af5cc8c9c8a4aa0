public import Blocks

extension LarderClient {
    /// Loads payloads straight into the caller's memory.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - lease: the lease of a match that found them.
    ///   - regions: one for each key, of exactly its payload's length; written until the call returns, never after.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: which payloads arrived whole. The content of other regions is unspecified.
    public func load(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: UInt64? = nil,
        into regions: [UnsafeMutableRawBufferPointer],
        timeout: Duration? = nil
    ) async -> LoadResult {
        await load(namespace, keys: keys, lease: lease, into: unsafe RegionSink(regions), timeout: timeout)
    }

    /// Loads payloads into memory that `sink` gives when it learns their lengths.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - lease: the lease of a match that found them.
    ///   - sink: asked on a thread of the client's; its memory is written until the call returns, never after.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: which payloads arrived whole.
    public func load(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: UInt64? = nil,
        into sink: any PayloadSink,
        timeout: Duration? = nil
    ) async -> LoadResult {
        do {
            return try await link.load(
                namespace,
                keys: keys,
                lease: lease,
                into: sink,
                .engine(timeout ?? link.configuration.loadTimeout)
            )
        } catch {
            return link.miss(.none(count: keys.count), error)
        }
    }

    /// Borrows blocks to read them in the node's own memory, without a copy; only on its host, over its Unix socket.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys; those after the first `Limits.batchKeyCountMax` are not borrowed.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: the blocks; `nil` when the node does not answer or does not share its memory.
    public func borrow(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeout: Duration? = nil
    ) async -> BorrowedBlocks? {
        guard !keys.isEmpty else { return nil }
        do {
            return try await link.borrow(
                namespace,
                keys: keys,
                .engine(timeout ?? link.configuration.loadTimeout)
            )
        } catch {
            return link.miss(nil, error)
        }
    }

    /// Offers blocks to the node; payloads go to the socket from where they lie.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - payloads: one for each key, 1 byte to 512 MiB; read until the call returns, never after.
    ///   - options: tokens, time to live, durability and pin of all of them.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: what became of each block.
    public func store(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        payloads: [UnsafeRawBufferPointer],
        options: StoreOptions = StoreOptions(),
        timeout: Duration? = nil
    ) async -> [StoreOutcome] {
        let lent = unsafe LentPayloads(payloads)
        do {
            return try await link.store(
                namespace,
                keys: keys,
                payloads: lent,
                options,
                .engine(timeout ?? link.configuration.storeTimeout)
            )
        } catch {
            link.count(error)
            return Array(repeating: .refused(error.code.description), count: keys.count)
        }
    }
}

/// Payloads that the caller of a store keeps readable and unchanged until the call returns.
@safe struct LentPayloads: @unchecked Sendable {
    @unsafe let buffers: [UnsafeRawBufferPointer]

    init(_ buffers: [UnsafeRawBufferPointer]) {
        unsafe self.buffers = buffers
    }
}
