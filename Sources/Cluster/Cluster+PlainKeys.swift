internal import Blocks
internal import Logging
internal import Placement
internal import Tiering

/// Plain keys of slots that this node does not own any more: they are deleted, because they can be replaced at their new
/// owner, and would be old bytes when this node owns the slot again.
extension Cluster {
    /// Databases of a tenant.
    private static let databaseCount = 16

    /// The slots that this node owns by a view.
    func ownedSlots(_ view: ClusterView) -> [Bool] {
        let place = view.members.firstIndex { $0.name == configuration.own.name }
        return (UInt16(0)..<UInt16(Slot.count)).map { view.ownerPlace(of: $0) == place }
    }

    /// Deletes the plain keys of slots for which `isLost` holds; on a thread that may block.
    func forgetPlainKeys(of isLost: [Bool]) {
        guard isLost.contains(true) else { return }
        var count = 0
        for tenant in tenants {
            for database in 0..<Self.databaseCount {
                let space = store.space(tenant: tenant, database: database)
                var place: BlockStore.SurveyPlace? = .start
                while let from = place, !isStopping {
                    var lost: [[UInt8]] = []
                    place = store.survey(space, from: from, count: 1_024) { _, key in
                        if unsafe isLost[Int(Slot.of(key.span.bytes))] { lost.append(key) }
                    }
                    if !lost.isEmpty { count += store.delete(space, keys: KeyBatch(validated: lost)) }
                }
            }
        }
        guard count > 0 else { return }
        logger.notice(
            "plain keys were dropped whose slots other nodes own now, or owned meanwhile",
            metadata: ["keys": "\(count)"]
        )
    }
}
