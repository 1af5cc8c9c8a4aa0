package import Blocks
internal import DiskTier
internal import MemoryTier

/// A deletion as other nodes of the cluster are told of it.
package struct DeletionRecord: Sendable, Hashable {
    /// Whose block it was.
    package let tenant: Tenant
    /// The namespace.
    package let namespace: NamespaceID
    /// The block's key; `nil` for the whole namespace.
    package let key: [UInt8]?
    /// What was made at or before this time is gone, milliseconds since 1970.
    package let deletedAt: UInt64

    /// Describes a deletion.
    package init(tenant: Tenant, namespace: NamespaceID, key: [UInt8]?, deletedAt: UInt64) {
        self.tenant = tenant
        self.namespace = namespace
        self.key = key
        self.deletedAt = deletedAt
    }
}

/// A part of a node's deletion log.
package struct DeletionPage: Sendable {
    /// Which log it is: another number means that the node has lost the one that it had.
    package let logID: UInt64
    /// Deletions that were heard of after this are all in the log, milliseconds since 1970 by the node's clock.
    package let floor: UInt64
    /// The node's clock, milliseconds since 1970.
    package let now: UInt64
    /// The deletions.
    package let records: [DeletionRecord]
    /// Where the next page begins; `nil` after the last.
    package let next: UInt64?
}

extension BlockStore {
    /// The deletions that this node has heard of at or after `since` (milliseconds since 1970 by its own clock), at most
    /// `countMax` from `cursor` on; `nil` on a node that is alone.
    package func deletionPage(since: UInt64, cursor: UInt64, countMax: Int) -> DeletionPage? {
        guard let deletions else { return nil }
        let (records, next) = deletions.page(since: since, cursor: cursor, countMax: countMax)
        return DeletionPage(
            logID: deletions.id,
            floor: deletions.status.floor,
            now: clock.unixMilliseconds(),
            records: records,
            next: next
        )
    }

    /// Names this node's deletion log; 0 on a node that is alone.
    package var deletionLogID: UInt64 { deletions?.id ?? 0 }

    /// Applies a deletion that this node missed: what it has from before that time goes. Returns the blocks that went.
    /// May block.
    package func apply(_ record: DeletionRecord) -> Int {
        guard let space = space(tenant: record.tenant, namespace: record.namespace)?.onThisNode else {
            return 0
        }
        guard let key = record.key else {
            note(space, key: nil, nil, at: record.deletedAt)
            return forget(space, createdUntil: record.deletedAt)
        }
        guard let keys = try? KeyBatch([BlockKey(key)]) else { return 0 }
        let identity = space.identity(of: keys[0])
        // A block that was put again since has a later time of creation.
        if let held = memory.summary(identity) ?? disk?.summary(identity),
            held.attributes.createdAt > record.deletedAt
        {
            return 0
        }
        return deleteEach(space, keys: keys, at: record.deletedAt).count { $0 }
    }

    /// Drops the blocks of a space that were made at or before a time; returns how many. May block.
    package func forget(_ space: KeySpace, createdUntil time: UInt64) -> Int {
        var count = 0
        var place: SurveyPlace? = .start
        while let from = place {
            var old: [[UInt8]] = []
            place = survey(space, from: from, count: 1_024) { identity, key in
                let held = memory.summary(identity) ?? disk?.summary(identity)
                if let held, held.attributes.createdAt <= time { old.append(key) }
            }
            guard !old.isEmpty else { continue }
            count += deleteEach(space, keys: KeyBatch(validated: old), at: time).count { $0 }
        }
        return count
    }
}
