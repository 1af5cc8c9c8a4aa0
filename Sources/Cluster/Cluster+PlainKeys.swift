package import Blocks
internal import Logging
internal import Placement
package import Tiering

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

    /// Whether this node has won slots since it started: their plain keys may be from before.
    package var hasWonSlots: Bool { !routing.plainValidSince.isEmpty }

    /// Takes plain keys away that are from before this node owned their slot; called before they are looked at.
    ///
    /// The thread that forgets may take a while: until then a slot that was won back would show what it had before.
    package func dropStale(_ space: KeySpace, _ keys: KeyBatch) {
        let since = routing.plainValidSince
        guard !since.isEmpty else { return }
        for index in 0..<keys.count {
            let validSince = since[Int(Slot.of(keys[index]))]
            guard validSince > 0, let held = store.summary(space, key: keys[index]),
                held.summary.attributes.createdAt < validSince
            else { continue }
            _ = store.delete(space, keys: keys.selecting([index]))
        }
    }

    /// Deletes the plain keys of slots for which `isLost` holds, and those from before this node owned their slot; on a
    /// thread that may block.
    func forgetPlainKeys(of isLost: [Bool]) {
        guard isLost.contains(true) || !routing.plainValidSince.isEmpty else { return }
        let began = clock.unixMilliseconds()
        // By the view of the moment: the slot may have been won back, and its key set anew, since it was lost.
        func isStale(_ slot: UInt16, _ identity: BlockIdentity) -> Bool {
            guard let createdAt = store.createdAt(identity), createdAt <= began else { return false }
            let routing = routing
            if isLost[Int(slot)], routing.view.ownerPlace(of: slot) != routing.ownPlace { return true }
            return !routing.plainValidSince.isEmpty && createdAt < routing.plainValidSince[Int(slot)]
        }
        var count = 0
        for tenant in tenants {
            for database in 0..<Self.databaseCount {
                let space = store.space(tenant: tenant, database: database)
                var place: BlockStore.SurveyPlace? = .start
                while let from = place, !isStopping {
                    var stale: [(identity: BlockIdentity, key: [UInt8])] = []
                    place = store.survey(space, from: from, count: 1_024) { identity, key in
                        if unsafe isStale(Slot.of(key.span.bytes), identity) { stale.append((identity, key)) }
                    }
                    // Once more, key by key: one may have been set anew meanwhile.
                    for (identity, key) in stale where unsafe isStale(Slot.of(key.span.bytes), identity) {
                        count += store.delete(space, keys: KeyBatch(validated: [key]))
                    }
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
