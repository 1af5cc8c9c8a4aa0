internal import Placement

/// What etcd has under this node's name, and what follows for it: a pure value.
struct Registration: Sendable {
    /// A record of this node's name.
    struct Found: Sendable, Equatable {
        /// The record's bytes.
        var bytes: [UInt8]
        /// What they describe; `nil` for garbage.
        var member: Member?
        /// The lease that it ends with.
        var lease: Int64
    }

    /// What to do.
    enum Step: Equatable {
        /// The record is there.
        case nothing
        /// Put it, if the record that is there still has this revision, 0 for none.
        case put(ifRevisionIs: Int64)
        /// Another node has the name: nothing can be put.
        case taken(by: Member)
    }

    /// The lease that the record ends with; 0 for none.
    var lease: Int64 = 0
    private(set) var found: Found?
    /// The revision at which `found` became so.
    private(set) var revision: Int64 = 0
    /// The record was there before.
    private(set) var wasThere = false

    /// etcd has told all that it has.
    mutating func synced(_ found: Found?, revision: Int64) {
        self.found = found
        self.revision = found == nil ? 0 : revision
    }

    /// The record was put, or taken out with `nil`; older news than those that are known are skipped.
    mutating func changed(to found: Found?, revision: Int64) {
        guard revision > self.revision else { return }
        self.found = found
        self.revision = revision
    }

    /// The node's own record was put.
    mutating func stored(_ bytes: [UInt8], _ own: Member, revision: Int64) {
        changed(to: Found(bytes: bytes, member: own, lease: lease), revision: revision)
        wasThere = true
    }

    /// What to do so that the record is `bytes`, those of `own`.
    ///
    /// - Parameter isStart: the node starts and takes over from whoever was at its address; later on, a record of a
    ///   later run means that it has been replaced itself.
    func step(_ bytes: [UInt8], _ own: Member, isStart: Bool) -> Step {
        guard let found else { return .put(ifRevisionIs: 0) }
        if found.bytes == bytes, found.lease == lease, lease != 0 { return .nothing }
        guard let other = found.member, other.run != own.run else { return .put(ifRevisionIs: revision) }
        let isFormerSelf = other.isAt(addressOf: own) && (isStart || other.run < own.run)
        return isFormerSelf ? .put(ifRevisionIs: revision) : .taken(by: other)
    }
}
