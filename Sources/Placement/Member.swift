/// One node of a cluster, as it tells the others about itself.
public struct Member: Hashable, Sendable {
    /// Where a node stands in its membership.
    public enum State: String, Hashable, Sendable, CaseIterable {
        /// It takes new blocks of its slots; for old ones their former owners are asked first, until they have handed
        /// them over.
        case joining
        /// It answers for its slots.
        case active
        /// It hands its blocks to their next owners, takes no new ones, and answers until it has gone.
        case draining
    }

    /// Its name, unique in the cluster.
    public var name: NodeName
    /// Host name or address at which clients and other nodes reach its RESP listener.
    public var host: String
    /// Port of its RESP listener.
    public var port: UInt16
    /// Port of its control plane, 0 for none.
    public var controlPort: UInt16
    /// How many slots it takes, against the weights of the others: 1 to 1,000,000. Usually its memory in GiB.
    public var weight: UInt32
    /// Where it stands.
    public var state: State
    /// Another number for each start of the node.
    public var run: UInt64
    /// Bytes of its memory tier.
    public var memoryByteCount: UInt64
    /// Bytes of its disk tier.
    public var diskByteCount: UInt64

    /// Largest weight.
    public static let weightMax: UInt32 = 1_000_000

    /// Describes a node.
    public init(
        name: NodeName,
        host: String,
        port: UInt16,
        controlPort: UInt16 = 0,
        weight: UInt32 = 1,
        state: State = .active,
        run: UInt64 = 0,
        memoryByteCount: UInt64 = 0,
        diskByteCount: UInt64 = 0
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.controlPort = controlPort
        self.weight = min(max(weight, 1), Self.weightMax)
        self.state = state
        self.run = run
        self.memoryByteCount = memoryByteCount
        self.diskByteCount = diskByteCount
    }
}
