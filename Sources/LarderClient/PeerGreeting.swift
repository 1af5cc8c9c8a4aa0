package import Blocks

/// How one node of a cluster makes itself known to another, and makes sure that the other is one.
package struct PeerGreeting: Sendable {
    /// The name of the node that calls.
    package let ownName: String
    /// The name of the node that is called.
    package let peerName: String
    /// What both know.
    package let secret: ClusterSecret

    /// Describes a greeting.
    package init(ownName: String, peerName: String, secret: ClusterSecret) {
        self.ownName = ownName
        self.peerName = peerName
        self.secret = secret
    }
}
