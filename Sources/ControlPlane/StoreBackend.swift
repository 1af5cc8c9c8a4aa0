package import Blocks
internal import GRPCCore
internal import NIOPosix
internal import Synchronization
package import Tiering

/// A node alone: everything is answered from its own store.
package struct StoreBackend: ControlBackend {
    /// What the node says of itself.
    package struct Identity: Sendable {
        /// Its name.
        package var name: String
        /// HOST:PORT of its RESP listener, empty for none.
        package var address: String
        package var memoryByteCount: Int
        package var diskByteCount: Int

        /// Describes a node.
        package init(
            name: String,
            address: String,
            memoryByteCount: Int,
            diskByteCount: Int
        ) {
            self.name = name
            self.address = address
            self.memoryByteCount = memoryByteCount
            self.diskByteCount = diskByteCount
        }
    }

    let store: BlockStore
    let identity: Identity
    /// How long a put waits for room.
    let spaceTimeout: Duration
    let loadRates = LoadRates()
    /// The node's figures beside the store's.
    private let nodeFigures: @Sendable () -> [(name: String, value: Int)]

    /// Stands on a store.
    package init(
        store: BlockStore,
        identity: Identity,
        spaceTimeout: Duration,
        nodeFigures: @escaping @Sendable () -> [(name: String, value: Int)] = { [] }
    ) {
        self.store = store
        self.identity = identity
        self.spaceTimeout = spaceTimeout
        self.nodeFigures = nodeFigures
    }

    /// What loading a payload from a tier of this node takes.
    package func loadMilliseconds(of byteCount: Int, in tier: Tier) -> Double {
        loadRates.milliseconds(of: byteCount, in: tier)
    }

    package func describe(
        _ description: NamespaceDescription,
        for tenant: Tenant,
        mayRegister: Bool
    ) async throws(ControlError) {
        guard mayRegister || store.visibleSpace(tenant: tenant, namespace: description.id) != nil else {
            throw .mayNotRegister
        }
        let store = store
        let failure = await Self.apart { () -> CacheError? in
            do throws(CacheError) {
                _ = try store.space(tenant: tenant, description: description)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw ControlError(failure) }
    }

    package func descriptions(of tenant: Tenant) async throws(ControlError) -> [NamespaceDescription] {
        let store = store
        return await Self.apart { store.descriptions(of: tenant) }
    }

    package func description(of space: SpaceName) async throws(ControlError) -> NamespaceDescription {
        guard let description = try self.space(space).description else { throw .unknownNamespace }
        return description
    }

    package func match(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [NodeMatch] {
        let space = try self.space(space)
        var match = NodeMatch(nodeName: identity.name, address: identity.address)
        for index in 0..<keys.count {
            guard let (summary, tier) = store.summary(space, key: keys[index]) else { break }
            match.append(summary, in: tier)
            match.loadMilliseconds += loadRates.milliseconds(of: summary.payloadByteCount, in: tier)
        }
        return match.blockCount == 0 ? [] : [match]
    }

    package func explain(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Explanation] {
        let space = try self.space(space)
        var explanations: [Explanation] = []
        for index in 0..<keys.count { explanations.append(store.explain(space, key: keys[index])) }
        return explanations
    }

    package func pin(
        _ space: SpaceName,
        keys: KeyBatch,
        lasting: Duration?
    ) async throws(ControlError) -> [Bool] {
        let until = lasting.map { pinEnd(after: $0) } ?? .max
        return store.pin(try self.space(space), keys: keys, until: until)
    }

    package func unpin(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Bool] {
        store.unpin(try self.space(space), keys: keys)
    }

    package func prefetch(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int {
        store.prefetch(try self.space(space), keys: keys)
    }

    package func warm(_ space: SpaceName, keys: KeyBatch) async throws -> [Int?] {
        let space = try self.space(space)
        return try await StoreReply.wait { store.warm(space, keys: keys, $0) }
    }

    package func delete(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int {
        store.delete(try self.space(space), keys: keys)
    }

    package func clear(_ space: SpaceName) async throws(ControlError) -> Int {
        let space = try self.space(space)
        let store = store
        return await Self.apart { store.clear(space) }
    }

    package func figures(
        of space: SpaceName?
    ) async throws(ControlError) -> [(name: String, value: StatisticValue)] {
        let space = try space.map { name throws(ControlError) in try self.space(name) }
        let (store, nodeFigures) = (store, nodeFigures)
        return await Self.apart {
            if let space { return store.statistics(of: space).fields }
            return store.statistics().fields + nodeFigures().map { ($0.name, .integer($0.value)) }
        }
    }

    package func clusterView() async throws(ControlError) -> ClusterOverview {
        ClusterOverview(
            epoch: 1,
            members: [
                ClusterOverview.Member(
                    name: identity.name,
                    address: identity.address,
                    memoryByteCount: UInt64(clamping: identity.memoryByteCount),
                    diskByteCount: UInt64(clamping: identity.diskByteCount),
                    isSelf: true
                )
            ]
        )
    }

    package func drain(
        node: String?,
        progress: @Sendable (DrainStep) async throws -> Void
    ) async throws {
        throw ControlError(
            .failedPrecondition,
            "this node is in no cluster, so there is nobody to hand its blocks to; SIGTERM writes them to its disk"
        )
    }

    /// Runs what writes a file or walks an index on a thread that may block.
    private static func apart<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            NIOThreadPool.singleton.submit { _ in continuation.resume(returning: body()) }
        }
    }

    /// The store's space.
    func space(_ name: SpaceName) throws(ControlError) -> KeySpace {
        guard let space = store.visibleSpace(tenant: name.tenant, namespace: name.namespace) else {
            throw .unknownNamespace
        }
        return space
    }

    /// When a pin of a length ends, milliseconds since 1970.
    func pinEnd(after time: Duration) -> UInt64 {
        store.clock.unixMilliseconds() &+ time.milliseconds
    }
}

extension Duration {
    /// Whole milliseconds, at least one.
    fileprivate var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        let (product, overflows) = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000)
        guard !overflows else { return .max / 2 }
        return max(1, product &+ UInt64(clamping: attoseconds / 1_000_000_000_000_000))
    }
}
