internal import Blocks
internal import Placement

/// What etcd's keys and their changes make of members, namespaces, users and this node's own registration: a pure value.
///
/// Everything in etcd is outside data. A record that is none is skipped, counted, and named in one warning.
struct EtcdDirectory: Sendable {
    /// A key and its value.
    struct Record: Sendable {
        var key: [UInt8]
        var value: [UInt8]
        var lease: Int64 = 0
        /// Revision of etcd at which it was put.
        var revision: Int64
    }

    /// A change of a key.
    enum Event: Sendable {
        case put(Record)
        case deleted(key: [UInt8], revision: Int64)
    }

    let layout: EtcdLayout
    var members: MemberDirectory
    var shared = SharedDirectory()
    var registration = Registration()
    /// Records that were skipped, each time that they were read.
    private(set) var skippedCount = 0

    private var warnings: [String] = []
    private var warnedKeys: Set<[UInt8]> = []
    private var cluster: UInt64?
    /// etcd's revision up to which all is known.
    private(set) var revision: Int64 = 0
    /// The newest revision by which this run's record was in etcd; 0 before it was.
    private(set) var recordRevision: Int64 = 0

    /// Most keys of which a warning is given.
    static let warnedKeyCountMax = 64
    /// Longest line of a user, bytes.
    static let lineByteCountMax = 1_024

    /// Begins with this node alone.
    init(layout: EtcdLayout, members: MemberDirectory) {
        self.layout = layout
        self.members = members
    }

    /// etcd has told all that it has.
    ///
    /// - Parameters:
    ///   - records: all records under the prefix.
    ///   - cluster: etcd's number of its cluster.
    ///   - revision: the revision that the records are of.
    ///   - now: the time.
    mutating func synced(
        _ records: [Record],
        cluster: UInt64,
        revision: Int64,
        at now: MemberDirectory.Instant
    ) {
        // Revisions only grow, unless the data is not the same any more.
        let lostData = self.cluster.map { $0 != cluster || revision < self.revision } ?? false
        self.cluster = cluster
        self.revision = revision
        let subjects = records.map { layout.subject(of: $0.key) }
        let hasUsers = subjects.contains { if case .user = $0 { true } else { false } }
        shared.beginSync(keepsUsers: lostData && !hasUsers)
        var present: [Member] = []
        var own: (Registration.Found, Int64)?
        for (record, subject) in zip(records, subjects) {
            if case .member(let name) = subject {
                let member = MemberRecord.member(name, in: record.value)
                if name == members.own.name {
                    own = (
                        Registration.Found(bytes: record.value, member: member, lease: record.lease),
                        record.revision
                    )
                } else if let member, present.count < ClusterView.memberCountMax {
                    present.append(member)
                } else {
                    skip(record.key)
                }
            } else {
                put(record, subject)
            }
        }
        registration.synced(own?.0, revision: own?.1 ?? 0)
        if lostData { recordRevision = 0 }
        noteRecord()
        members.synced(present, at: now)
    }

    /// etcd told changes, in order.
    mutating func apply(_ events: [Event], at now: MemberDirectory.Instant) {
        for event in events {
            switch event {
            case .put(let record):
                revision = max(revision, record.revision)
                put(record, layout.subject(of: record.key))
            case .deleted(let key, let revision):
                self.revision = max(self.revision, revision)
                switch layout.subject(of: key) {
                case .member(let name) where name == members.own.name:
                    registration.changed(to: nil, revision: revision)
                case .member(let name): members.remove(name, at: now)
                case .namespace(let id): shared.remove(id)
                case .user(let name): shared.remove(user: name)
                case nil: break
                }
            }
        }
        noteRecord()
    }

    /// This node's record was put.
    mutating func stored(_ bytes: [UInt8], _ own: Member, revision: Int64) {
        registration.stored(bytes, own, revision: revision)
        recordRevision = max(recordRevision, registration.revision)
    }

    /// By what has been read the record is there, or it is not.
    private mutating func noteRecord() {
        guard registration.found?.member?.run == members.own.run else { return }
        recordRevision = max(recordRevision, revision, registration.revision)
    }

    /// What to warn of since the last call.
    mutating func takeWarnings() -> [String] {
        defer { warnings = [] }
        return warnings
    }

    private mutating func put(_ record: Record, _ subject: EtcdLayout.Subject?) {
        var isTaken = false
        switch subject {
        case .member(let name):
            let member = MemberRecord.member(name, in: record.value)
            if name == members.own.name {
                let found = Registration.Found(bytes: record.value, member: member, lease: record.lease)
                registration.changed(to: found, revision: record.revision)
                isTaken = true
            } else if let member, members.otherCount < ClusterView.memberCountMax {
                members.put(member)
                isTaken = true
            }
        case .namespace(let id):
            // A namespace's name is the digest of its description, so a wrong one cannot pass for it.
            if let description = try? NamespaceDescription(json: record.value), description.id == id,
                description.canonicalBytes == record.value
            {
                isTaken = shared.put(description)
            }
        case .user(let name):
            if let line = Self.line(of: name, record.value) {
                isTaken = shared.put(user: name, line: line)
            } else {
                // A user whose line was spoilt is out, not in by the former line.
                shared.remove(user: name)
            }
        case nil: break
        }
        if !isTaken { skip(record.key) }
    }

    private mutating func skip(_ key: [UInt8]) {
        skippedCount += 1
        guard warnedKeys.count < Self.warnedKeyCountMax, warnedKeys.insert(key).inserted else { return }
        let name = String(decoding: key.prefix(200), as: UTF8.self).filter { $0.isASCII && !$0.isWhitespace }
        warnings.append("etcd's key \(name) is skipped: its value is not what belongs there")
    }

    /// The line of a users file, if it is one of this user.
    private static func line(of name: String, _ bytes: [UInt8]) -> String? {
        guard bytes.count <= lineByteCountMax, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        let line = String(decoding: bytes, as: UTF8.self)
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count == 4, fields[0] == name, fields[3].hasPrefix("scrypt$") else { return nil }
        return line
    }
}
