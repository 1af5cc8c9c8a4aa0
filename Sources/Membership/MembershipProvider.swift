package import Blocks
package import Placement

/// Where a node learns who else is in its cluster, and tells that it is in it itself.
///
/// A provider never takes members away because it cannot reach its source: until it knows better, what it told last
/// stays true. Thread-safe.
package protocol MembershipProvider: Sendable {
    /// Registers the node and begins to tell `listener` who is there; returns when the first list has been told.
    ///
    /// - Throws: `.invalidArgument` for a wrong setting, `.tierUnavailable` when the source was not reached within the
    ///   time that the provider was given for its start.
    func start(_ own: Member, _ listener: any MembershipListener) async throws(CacheError)

    /// Tells the others what has changed about this node: its state, its weight. Returns at once; it is told again until
    /// the source has it.
    func update(_ own: Member)

    /// Shares a namespace's description, so that every node knows it. Returns at once.
    func share(_ description: NamespaceDescription)

    /// Where the provider stands, for people.
    var status: MembershipStatus { get }

    /// Stops; with `leaves` the node is taken out of the list first, otherwise the others keep its place until its time
    /// is over.
    func stop(leaves: Bool) async
}

/// Who hears of members. Called one at a time, in order, on any thread.
package protocol MembershipListener: AnyObject, Sendable {
    /// All members there are, this node among them; `revision` grows with each change, and is this node's own count.
    func membersChanged(_ members: [Member], revision: UInt64)
    /// How far the source was read, and the newest revision of it by which this node's record was there; the members
    /// told before are of that revision.
    ///
    /// Revisions are the source's, so that those of all nodes can be compared. A source without them never tells.
    func sourceWasRead(upTo revision: UInt64, ownRecordAt recordRevision: UInt64)
    /// The others had no record of this node, or did not keep it: they may have owned its slots meanwhile.
    func placeWasLost()
    /// Namespaces that other nodes have shared.
    func namespacesShared(_ descriptions: [NamespaceDescription])
    /// All users that the source keeps, as lines of a users file; none when it keeps no users.
    func usersChanged(_ lines: [String])
}

extension MembershipListener {
    package func sourceWasRead(upTo revision: UInt64, ownRecordAt recordRevision: UInt64) {}
}

/// Where a provider stands.
package struct MembershipStatus: Sendable, Hashable {
    /// What it is: `static`, or the source's address without credentials.
    package var source: String
    /// Whether the source answers now; a static list always does.
    package var isConnected: Bool
    /// Seconds since the source was last heard of.
    package var silenceSeconds: Double
    /// Times the source was lost.
    package var lossCount: Int
    /// Times this node was registered anew because its registration was gone.
    package var reregistrationCount: Int
    /// Records of the source that were skipped because they were not what belongs there.
    package var skippedRecordCount: Int

    /// Describes a provider's state.
    package init(
        source: String,
        isConnected: Bool = true,
        silenceSeconds: Double = 0,
        lossCount: Int = 0,
        reregistrationCount: Int = 0,
        skippedRecordCount: Int = 0
    ) {
        self.source = source
        self.isConnected = isConnected
        self.silenceSeconds = silenceSeconds
        self.lossCount = lossCount
        self.reregistrationCount = reregistrationCount
        self.skippedRecordCount = skippedRecordCount
    }
}
