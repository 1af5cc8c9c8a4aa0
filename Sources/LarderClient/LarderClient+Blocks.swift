public import Blocks

extension LarderClient {
    /// Spares blocks from eviction.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeToLive: for how long; `nil` until they are unpinned.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many are pinned now.
    public func pin(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeToLive: Duration? = nil,
        timeout: Duration? = nil
    ) async -> Int {
        do {
            return try await link.pin(
                namespace,
                keys: keys,
                timeToLive: timeToLive,
                .engine(timeout ?? link.configuration.lookupTimeout)
            )
        } catch {
            return link.miss(0, error)
        }
    }

    /// Ends pins.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many of the blocks are held.
    public func unpin(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> Int {
        do {
            return try await link.unpin(
                namespace,
                keys: keys,
                .engine(timeout ?? link.configuration.lookupTimeout)
            )
        } catch {
            return link.miss(0, error)
        }
    }

    /// Has the node bring blocks from disk to memory.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many blocks are on their way.
    public func prefetch(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> Int {
        do {
            return try await link.prefetch(
                namespace,
                keys: keys,
                .engine(timeout ?? link.configuration.lookupTimeout)
            )
        } catch {
            return link.miss(0, error)
        }
    }

    /// Deletes blocks.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many there were.
    public func delete(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> Int {
        do {
            return try await link.delete(
                namespace,
                keys: keys,
                .engine(timeout ?? link.configuration.lookupTimeout)
            )
        } catch {
            return link.miss(0, error)
        }
    }
}
