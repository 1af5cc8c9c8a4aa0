package import Blocks
package import Tiering

/// What the services stand on: one node's blocks, or a cluster's.
///
/// Values are plain; keys come checked, 1 to `Limits.keyByteCountMax` bytes each. Nothing here blocks the thread that
/// awaits it. A space that its tenant has not described throws ``ControlError/unknownNamespace``.
package protocol ControlBackend: Sendable {
    /// Makes a namespace known to a tenant; without `mayRegister` only opens one that the tenant knows.
    func describe(
        _ description: NamespaceDescription,
        for tenant: Tenant,
        mayRegister: Bool
    ) async throws(ControlError)
    /// The namespaces that a tenant knows: those that it has described or has blocks in.
    func descriptions(of tenant: Tenant) async throws(ControlError) -> [NamespaceDescription]
    /// What a space's blocks are; opens it, so that its blocks are told of.
    func description(of space: SpaceName) async throws(ControlError) -> NamespaceDescription

    /// The leading keys that each node holds; nodes that hold none are left out. No lease, and no use of the blocks.
    func match(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [NodeMatch]
    /// Why each key is here or not.
    func explain(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Tiering.Explanation]
    /// Keeps blocks from eviction, for a time or until they are unpinned; false for those that are not pinned now.
    func pin(_ space: SpaceName, keys: KeyBatch, lasting: Duration?) async throws(ControlError) -> [Bool]
    /// Ends pins; false for a key that is not held.
    func unpin(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Bool]
    /// Starts bringing blocks to memory; how many reads that takes.
    func prefetch(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int
    /// Brings blocks to memory and waits for them; false for those that are not held. At most `warmStepCount` keys.
    func warm(_ space: SpaceName, keys: KeyBatch) async throws -> [Int?]
    /// Deletes blocks; how many were held.
    func delete(_ space: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int
    /// Deletes all blocks of a space; how many were held.
    func clear(_ space: SpaceName) async throws(ControlError) -> Int

    /// Figures of a space, or of the whole node.
    func figures(of space: SpaceName?) async throws(ControlError) -> [(name: String, value: StatisticValue)]
    /// Who is in the cluster.
    func clusterView() async throws(ControlError) -> ClusterOverview
    /// Hands a node's blocks over, the node's own without a name; calls `progress` now and then, and at the end.
    func drain(node: String?, progress: @Sendable (DrainStep) async throws -> Void) async throws

    /// Takes room for a block; waits a moment when there is none.
    func beginPut(_ put: BlockPut) async throws -> any BlockIntake
    /// A block to be read, `nil` when it is not held.
    func get(_ space: SpaceName, key: [UInt8]) async throws -> (any BlockReading)?
}

/// A namespace as a tenant sees it.
package struct SpaceName: Hashable, Sendable {
    package let tenant: Tenant
    package let namespace: NamespaceID

    /// Names a space.
    package init(tenant: Tenant, namespace: NamespaceID) {
        self.tenant = tenant
        self.namespace = namespace
    }
}

/// The leading keys that one node holds.
package struct NodeMatch: Sendable {
    /// The node's name.
    package var nodeName: String
    /// HOST:PORT of its RESP listener, empty when it has none.
    package var address: String
    /// Neighbours in one tier, in the order of the keys.
    package var runs: [(tier: Tier, blockCount: Int)] = []
    /// Bytes of the payloads.
    package var payloadByteCount = 0
    /// Tokens of the blocks, as far as clients said.
    package var tokenCount = 0
    /// Blocks whose tokens nobody said.
    package var uncountedBlockCount = 0
    /// What loading them takes.
    package var loadMilliseconds = 0.0

    /// Blocks held.
    package var blockCount: Int { runs.reduce(0) { $0 + $1.blockCount } }

    /// A node that holds none so far.
    package init(nodeName: String, address: String) {
        self.nodeName = nodeName
        self.address = address
    }

    /// Adds the next key's block.
    package mutating func append(_ summary: BlockSummary, in tier: Tier) {
        if runs.last?.tier == tier {
            runs[runs.count - 1].blockCount += 1
        } else {
            runs.append((tier, 1))
        }
        payloadByteCount += summary.payloadByteCount
        tokenCount += Int(summary.attributes.tokenCount)
        if summary.attributes.tokenCount == 0 { uncountedBlockCount += 1 }
    }
}

/// Who is in a cluster, as one node knows it.
package struct ClusterOverview: Sendable {
    /// One member.
    package struct Member: Sendable {
        /// Where a member stands.
        package enum State: Sendable { case joining, active, draining }

        package var name: String
        /// HOST:PORT of its RESP listener, empty for none.
        package var address: String
        /// HOST:PORT of its control plane, empty for none.
        package var controlAddress: String
        package var state: State
        package var weight: UInt32
        package var memoryByteCount: UInt64
        package var diskByteCount: UInt64
        /// Whether it is the node that is asked.
        package var isSelf: Bool

        /// Describes a member.
        package init(
            name: String,
            address: String,
            controlAddress: String = "",
            state: State = .active,
            weight: UInt32 = 1,
            memoryByteCount: UInt64 = 0,
            diskByteCount: UInt64 = 0,
            isSelf: Bool = false
        ) {
            self.name = name
            self.address = address
            self.controlAddress = controlAddress
            self.state = state
            self.weight = weight
            self.memoryByteCount = memoryByteCount
            self.diskByteCount = diskByteCount
            self.isSelf = isSelf
        }
    }

    /// Grows with each change.
    package var epoch: UInt64
    package var members: [Member]

    /// Describes a cluster.
    package init(epoch: UInt64, members: [Member]) {
        self.epoch = epoch
        self.members = members
    }
}

/// How far a drain is.
package struct DrainStep: Sendable {
    package var handedBlockCount = 0
    package var handedByteCount = 0
    package var remainingBlockCount = 0
    package var remainingByteCount = 0
    package var isFinished = false

    /// Nothing handed over.
    package init() {}
}
