package import MemoryTier

extension BlockStore {
    /// Blocks lent to a process that reads them in place.
    package struct Loan: Sendable {
        /// What ``release(lease:owner:)`` takes; `nil` when nothing is lent.
        package let leaseID: UInt64?
        /// The blocks in the order of the keys; `nil` for those that are not lent.
        package let blocks: [BlockLease?]
        /// Which of the others are held all the same, and can be read otherwise.
        package let heldIndices: Set<Int>
    }

    /// Lends blocks that were loaded to an owner, until it gives them back or ``releaseAll(owner:)`` ends what it has.
    ///
    /// A loan has no end of its own: the caller makes sure that the owner is still there. The checksum is the reader's to
    /// prove, over the bytes as it reads them. Loans and leases together hold at most half of the memory: what would pass
    /// that is not lent, and counted.
    package func lend(_ leases: [BlockLease?], to owner: LeaseOwner) -> Loan {
        var blocks = leases
        var holdings = LeaseTable.Holdings()
        var heldIndices: Set<Int> = []
        let budget = leaseBudget().memoryByteCount
        for (index, lease) in leases.enumerated() {
            guard let lease else { continue }
            let byteCount = unsafe lease.payload.count
            guard holdings.memoryByteCount + byteCount <= budget else {
                blocks[index] = nil
                heldIndices.insert(index)
                continue
            }
            holdings.memoryByteCount += byteCount
            holdings.lent.append(lease)
        }
        if !heldIndices.isEmpty { counters.leasesRefused.add() }
        guard !holdings.isEmpty else { return Loan(leaseID: nil, blocks: blocks, heldIndices: heldIndices) }
        // Until the owner says so: a reader in another process cannot be told that its time is over.
        guard let id = self.leases.add(holdings, owner: owner, until: nil) else {
            counters.leasesRefused.add()
            return Loan(
                leaseID: nil,
                blocks: leases.map { _ in nil },
                heldIndices: Set(leases.indices.filter { leases[$0] != nil })
            )
        }
        return Loan(leaseID: id, blocks: blocks, heldIndices: heldIndices)
    }
}
