internal import LarderClient

/// One server under load: what is put there before, measured, compared and taken away.
struct BenchServer: Sendable {
    let target: BenchTarget
    let credentials: LarderClientConfiguration.Credentials?

    /// Connects for a case.
    func connect(_ workload: BenchWorkload, verifies: Bool, depth: Int? = nil) throws(CommandFailure)
        -> BenchConnection
    {
        try BenchConnection(
            target,
            credentials: credentials,
            payloads: workload.payloads,
            depth: depth ?? workload.plan.concurrency.depth,
            batch: workload.plan.batch,
            verifies: verifies
        )
    }

    /// Whether the server knows a node's own verbs.
    func isNode(_ workload: BenchWorkload) throws(CommandFailure) -> Bool {
        guard target.dialect == .resp else { return false }
        return try connect(workload, verifies: false, depth: 1).run(workload.describe()).errorCount == 0
    }

    /// Puts all keys there, unmeasured.
    func fill(_ workload: BenchWorkload) throws(CommandFailure) {
        let connection = try connect(workload, verifies: false, depth: 4)
        if !workload.plan.operation.isPlain { try expectNone(connection.run(workload.describe())) }
        guard workload.plan.operation.needsKeys else { return }
        // Small values go in larger steps.
        let step = max(1, min(256, (4 << 20) / max(workload.plan.byteCount, 1)))
        for start in stride(from: 0, to: workload.plan.keyCount, by: step) {
            let keys = start..<min(start + step, workload.plan.keyCount)
            let request = workload.plan.operation.isPlain ? workload.set(keys) : workload.blockPut(keys)
            try connection.start(request)
            if connection.pendingCount == 4 { try expectNone(connection.finishOldest().faults) }
        }
        while connection.pendingCount > 0 { try expectNone(connection.finishOldest().faults) }
    }

    /// Compares every key's bytes with what was stored, outside all timed parts; how many were compared and what was
    /// wrong.
    func verify(_ workload: BenchWorkload) throws(CommandFailure) -> (
        count: Int, faults: BenchReplyCheck.Faults
    ) {
        guard workload.plan.operation.movesPayloads, workload.plan.operation != .kvput else {
            return (0, BenchReplyCheck.Faults())
        }
        let connection = try connect(workload, verifies: true, depth: 1)
        var faults = BenchReplyCheck.Faults()
        let count = workload.distinctCount * workload.plan.batch
        for start in stride(from: 0, to: count, by: workload.plan.batch) {
            let keys = start..<(start + workload.plan.batch)
            faults += try connection.run(
                workload.plan.operation.isPlain ? workload.get(keys) : workload.blockGet(keys)
            )
        }
        return (count, faults)
    }

    /// Deletes the run's keys; what a server does not let us delete stays.
    func clean(_ workload: BenchWorkload) throws(CommandFailure) {
        guard target.dialect == .resp else { return }
        let connection = try connect(workload, verifies: false, depth: 1)
        guard workload.plan.operation.isPlain else {
            _ = try connection.run(workload.clear())
            return
        }
        for start in stride(from: 0, to: workload.plan.keyCount, by: 256) {
            _ = try connection.run(workload.delete(start..<min(start + 256, workload.plan.keyCount)))
        }
    }

    private func expectNone(_ faults: BenchReplyCheck.Faults) throws(CommandFailure) {
        guard let error = faults.firstError else { return }
        throw CommandFailure(.software, "the server at \(target) answered: \(error)")
    }
}
