internal import LarderClient

/// The measurements of one call: all cases, in rounds, on one server or several in turn.
struct BenchSuite {
    /// The one in question, and those it is compared with.
    let servers: [BenchServer]
    let cases: [BenchCase]
    let length: BenchLength
    let warmup: UInt64
    let roundCount: Int
    let seed: UInt64
    let keepsKeys: Bool
    /// What names the keys, instead of a name that no other run has.
    var name: String?
    /// Whether the keys are there already.
    var isStored = false
    /// Whether every key is read once more and compared.
    var verifies = true

    /// Runs everything; `tell` gets a line before each part.
    func run(_ tell: (String) -> Void) throws(CommandFailure) -> [BenchResult] {
        var results: [BenchResult] = []
        for plan in cases {
            let title = "\(plan.operation.rawValue) \(ByteCount(bytes: plan.byteCount)) \(plan.concurrency)"
            tell("\(title): storing \(plan.keyCount) keys")
            var sides: [Side] = []
            for server in servers { sides.append(try Side(server, plan, seed, name)) }
            for side in sides where !isStored { try side.server.fill(side.workload) }
            for round in 0..<roundCount {
                for index in sides.indices {
                    tell("\(title): round \(round + 1) of \(roundCount) at \(sides[index].server.target)")
                    try sides[index].measure(length, warmup: warmup, seed: seed &+ UInt64(round) &* 1_000)
                }
            }
            for index in sides.indices {
                if verifies { try sides[index].verify() }
                if !keepsKeys { try sides[index].server.clean(sides[index].workload) }
            }
            results.append(BenchResult(plan: plan, sides: sides.map(\.result)))
        }
        return results
    }

    /// One server in one case.
    private struct Side {
        let server: BenchServer
        let workload: BenchWorkload
        var result: BenchResult.Side

        init(
            _ server: BenchServer,
            _ plan: BenchCase,
            _ seed: UInt64,
            _ name: String?
        ) throws(CommandFailure) {
            self.server = server
            let payloads = BenchPayloads(byteCount: plan.byteCount, count: plan.keyCount, seed: seed)
            let run = name ?? String(BenchClock.now(), radix: 36)
            var workload = BenchWorkload(
                plan: plan,
                payloads: payloads,
                run: run,
                dialect: server.target.dialect
            )
            if !plan.operation.isPlain, try !server.isNode(workload) {
                workload.plan = plan.plainCounterpart
            }
            self.workload = workload
            result = BenchResult.Side(name: server.target.description, plan: workload.plan)
        }

        mutating func measure(_ length: BenchLength, warmup: UInt64, seed: UInt64) throws(CommandFailure) {
            let round = BenchRound(
                server: server,
                workload: workload,
                length: length,
                warmup: warmup,
                seed: seed
            )
            let (figures, faults) = try round.run()
            result.rounds.append(figures)
            result.faults += faults
        }

        mutating func verify() throws(CommandFailure) {
            let (count, faults) = try server.verify(workload)
            result.verifiedKeyCount = count
            result.faults += faults
        }
    }
}

/// What one case gave.
struct BenchResult: Sendable {
    let plan: BenchCase
    /// The server, and those it is compared with.
    let sides: [Side]

    /// One server's rounds.
    struct Side: Sendable {
        let name: String
        /// What was done there: plain verbs on a server that knows no others.
        let plan: BenchCase
        var rounds: [BenchFigures] = []
        var faults = BenchReplyCheck.Faults()
        var verifiedKeyCount = 0

        init(name: String, plan: BenchCase) {
            self.name = name
            self.plan = plan
        }
    }

    /// Whether a reply was an error or had wrong bytes.
    ///
    /// Misses are told, but a cache may have some.
    var isWrong: Bool { sides.contains { $0.faults.errorCount > 0 || $0.faults.wrongByteCount > 0 } }

    /// How many times the first server does what the one at `index` does, round by round; `nil` for itself.
    func ratio(to index: Int) -> BenchSpread? {
        guard index > 0, sides.indices.contains(index) else { return nil }
        let speeds = sides.map { side in
            side.rounds.map { plan.operation.movesPayloads ? $0.gigabytesPerSecond : $0.keysPerSecond }
        }
        return BenchSpread.ratios(speeds[0], speeds[index])
    }
}
