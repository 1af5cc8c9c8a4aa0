/// How a client talks to one node.
public struct LarderClientConfiguration: Sendable {
    /// A name and password for `HELLO 3 AUTH`.
    public struct Credentials: Sendable {
        /// The user.
        public var user: String
        /// The password.
        ///
        /// Never logged.
        public var password: String

        /// Creates credentials.
        public init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    /// Where the node listens.
    public var endpoint: LarderEndpoint
    /// Who asks; `nil` for a node without users.
    public var credentials: Credentials?
    /// Connections to the node.
    ///
    /// The first carries look-ups, the others payloads, so that a look-up never waits behind one; a single
    /// connection carries both. 1 to 64.
    public var connectionCount = 4
    /// How long a look-up may take: match, pin, unpin, prefetch, delete, release, explain, ping.
    public var lookupTimeout = Duration.milliseconds(50)
    /// How long a load may take, however many payloads it has.
    public var loadTimeout = Duration.milliseconds(500)
    /// How long a store may take, however many payloads it has.
    public var storeTimeout = Duration.seconds(1)
    /// How long an administrator's call may take: describe, clear, stats, hot.
    public var administrationTimeout = Duration.seconds(5)
    /// When the client stops asking a sick node, and when it tries again.
    public var breaker = CircuitBreaker.Policy()
    /// Whether payloads are read and written in the node's own memory where it is on this host, on a Unix socket, and
    /// shares it.
    public var usesSharedMemory = true
    /// Most calls that wait on one connection; the next is refused at once.
    public var pendingCallCountMax = 1_024

    /// How a node of a cluster proves itself to another, instead of credentials.
    var greeting: PeerGreeting?

    /// The defaults, for one node.
    public init(endpoint: LarderEndpoint, credentials: Credentials? = nil) {
        self.endpoint = endpoint
        self.credentials = credentials
    }
}
