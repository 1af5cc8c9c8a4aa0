internal import LarderClient

/// One node as `larder top` knows it.
struct TopNode: Hashable, Sendable {
    /// Its name in the cluster, or its address.
    let name: String
    /// Where it is asked.
    let address: String
    /// What the cluster says of it; `nil` for a node that is in none.
    var member: ClusterMembers.Node?
    /// The latest answer.
    private(set) var sample: NodeSample?
    /// What it did between the latest two answers; `nil` after the first, and while it is silent.
    private(set) var activity: NodeActivity?
    /// Whether it answered when it was asked last.
    private(set) var answers = false

    /// A node that was not asked yet.
    init(name: String, address: String, member: ClusterMembers.Node? = nil) {
        self.name = name
        self.address = address
        self.member = member
    }

    /// Takes an answer, or that there was none: then the figures stay as they were.
    mutating func take(_ answer: NodeSample?) {
        answers = answer != nil
        guard let answer else {
            activity = nil
            return
        }
        activity = sample.flatMap { NodeActivity(from: $0, to: answer) }
        sample = answer
    }

    /// In one word: what the cluster says, unless the node does not answer: then `silent`, or `down` where the cluster
    /// does not hear it either.
    var state: String {
        if answers { return member?.state ?? "alone" }
        return member?.isUp == true ? "silent" : "down"
    }

    /// Seconds since it answered last; `nil` when it never did.
    func silence(at now: Double) -> Double? {
        sample.map { max(0, now - $0.seconds) }
    }

    /// The part of the cluster's blocks that it owns; `nil` for a node that is in none.
    var share: Double? { member.map { Double($0.slotCount) / 16_384 } }

    /// A figure of the latest answer.
    func figure(_ name: String) -> Int? { sample?.integer(name) }
}
