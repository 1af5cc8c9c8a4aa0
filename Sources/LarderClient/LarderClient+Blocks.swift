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
    ) async -> KeyCount {
        do {
            return KeyCount(
                try await link.pin(
                    namespace,
                    keys: keys,
                    timeToLive: timeToLive,
                    .engine(timeout ?? link.configuration.lookupTimeout)
                )
            )
        } catch {
            return link.miss(KeyCount(0, failure: error), error)
        }
    }

    /// Ends pins.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many of the blocks are held; where it is not complete, some may still be pinned.
    public func unpin(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> KeyCount {
        do {
            return KeyCount(
                try await link.unpin(
                    namespace,
                    keys: keys,
                    .engine(timeout ?? link.configuration.lookupTimeout)
                )
            )
        } catch {
            return link.miss(KeyCount(0, failure: error), error)
        }
    }

    /// Has the node bring blocks from disk to memory.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many blocks are on their way.
    public func prefetch(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> KeyCount
    {
        do {
            return KeyCount(
                try await link.prefetch(
                    namespace,
                    keys: keys,
                    .engine(timeout ?? link.configuration.lookupTimeout)
                )
            )
        } catch {
            return link.miss(KeyCount(0, failure: error), error)
        }
    }

    /// Deletes blocks.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: how many there were; where it is not complete, some may still be held.
    public func delete(_ namespace: NamespaceID, keys: KeyBatch, timeout: Duration? = nil) async -> KeyCount {
        do {
            return KeyCount(
                try await link.delete(
                    namespace,
                    keys: keys,
                    .engine(timeout ?? link.configuration.lookupTimeout)
                )
            )
        } catch {
            return link.miss(KeyCount(0, failure: error), error)
        }
    }
}
