internal import Placement

/// Who is in the cluster, as far as its source has told, and with what it lost while it was away still in it.
///
/// A pure value: the source's news and the time make the list. A member goes at once only when the source says so while
/// it was heard of all the time. When it was away, it may have forgotten members that live, or let their time run out
/// unheard; those keep their place for a grace time from its return on, in which they register again.
struct MemberDirectory: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct Entry {
        var member: Member
        /// The record is gone, and the member goes at this time unless it comes back.
        var goesAt: Instant?
    }

    /// Grows with each change of `members`.
    private(set) var revision: UInt64 = 1
    private(set) var own: Member
    private var others: [NodeName: Entry] = [:]
    private let graceTime: Duration
    private let silenceMax: Duration
    private var isInSync = false
    private var wasInSync = false
    private var heardAt: Instant?
    private var graceEnd: Instant?

    /// Begins with this node alone.
    ///
    /// - Parameters:
    ///   - own: this node, which is always in the list, as it says itself.
    ///   - graceTime: how long a member whose record the source lost keeps its place after the source came back.
    ///   - silenceMax: a source that was silent for longer was away; less than the time after which a member that is
    ///     not heard of is taken out.
    init(own: Member, graceTime: Duration, silenceMax: Duration) {
        self.own = own
        self.graceTime = graceTime
        self.silenceMax = silenceMax
    }

    /// All members, this node among them, in the order of their names.
    var members: [Member] {
        ([own] + others.values.map(\.member)).sorted { $0.name < $1.name }
    }

    /// Members other than this node.
    var otherCount: Int { others.count }

    /// This node has changed.
    mutating func update(_ own: Member) {
        guard own != self.own else { return }
        self.own = own
        revision += 1
    }

    /// The source gave a sign of life.
    mutating func heard(at now: Instant) {
        if isInSync, let heardAt, now - heardAt > silenceMax { graceEnd = now + graceTime }
        heardAt = now
    }

    /// The source is away: from now on its silence means nothing.
    mutating func lost() {
        isInSync = false
    }

    /// The source has told all that it has.
    mutating func synced(_ members: [Member], at now: Instant) {
        if wasInSync { graceEnd = now + graceTime }
        isInSync = true
        wasInSync = true
        heardAt = now
        let present = Set(members.map(\.name))
        for member in members { put(member) }
        for name in others.keys where !present.contains(name) { others[name]?.goesAt = graceEnd }
    }

    /// A member has registered or changed.
    mutating func put(_ member: Member) {
        guard member.name != own.name else { return }
        let former = others.updateValue(Entry(member: member), forKey: member.name)
        if former?.member != member { revision += 1 }
    }

    /// A member's record was taken out.
    mutating func remove(_ name: NodeName, at now: Instant) {
        guard others[name] != nil else { return }
        if let graceEnd, graceEnd > now {
            others[name]?.goesAt = graceEnd
        } else {
            others[name] = nil
            revision += 1
        }
    }

    /// Takes out the members whose grace time is over. While the source is away nobody goes.
    mutating func expire(at now: Instant) {
        guard isInSync else { return }
        for (name, entry) in others {
            guard let goesAt = entry.goesAt, goesAt <= now else { continue }
            others[name] = nil
            revision += 1
        }
    }
}
