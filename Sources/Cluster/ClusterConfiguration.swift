package import Blocks
package import Membership
package import Placement

/// What a node is told about the cluster that it is part of.
package struct ClusterConfiguration: Sendable {
    /// The node as the others shall know it.
    package var own: Member
    /// Where it learns of the others.
    package var provider: any MembershipProvider
    /// What the nodes prove themselves to each other with.
    package var secret = ClusterSecret.open
    /// How long another node may take to say what it holds; below the deadline of clients, who wait for this one.
    package var lookupTimeout: Duration = .milliseconds(100)
    /// How long another node may take to send blocks.
    package var loadTimeout: Duration = .milliseconds(1_000)
    /// How long another node may take to store a block.
    package var storeTimeout: Duration = .seconds(5)
    /// How long another node may take to have a block on disk.
    package var durableTimeout: Duration = .seconds(30)
    /// Connections to each other node: one for look-ups, one for blocks given to it, the others for blocks fetched from it.
    package var connectionCount = 4
    /// How often each other node is asked whether it is there.
    package var heartbeatInterval: Duration = .milliseconds(500)
    /// For how long a node may be silent before it counts as down.
    package var silenceMax: Duration = .milliseconds(1_500)
    /// How many nodes keep pinned and hot blocks: 1 or 2.
    package var replicaCount = 1
    /// How long a node that joins waits at most for what the others hold of its blocks.
    package var joinTimeout: Duration = .seconds(600)
    /// Where the node remembers its last contacts over a restart; `nil` for a node whose blocks do not outlive it.
    package var directory: String?
    /// Tenants whose blocks are handed over and replicated.
    package var tenants: [Tenant] = [.default]

    /// Describes a node's place in a cluster.
    package init(own: Member, provider: any MembershipProvider) {
        self.own = own
        self.provider = provider
    }
}
