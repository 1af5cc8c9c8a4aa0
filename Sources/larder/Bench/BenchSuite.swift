internal import LarderClient

/// The measurements of one call: all cases, in rounds, on one server or two.
struct BenchSuite {
    let server: BenchServer
    let versus: BenchServer?
    let cases: [BenchCase]
    let length: BenchLength
    let warmup: UInt64
    let roundCount: Int
    let seed: UInt64
    let keepsKeys: Bool

    /// Runs everything; `tell` gets a line before each part.
    func run(_ tell: (String) -> Void) throws(CommandFailure) -> [BenchResult] {
        var results: [BenchResult] = []
        for plan in cases {
            let name = "\(plan.operation.rawValue) \(ByteCount(bytes: plan.byteCount)) \(plan.concurrency)"
            tell("\(name): storing \(plan.keyCount) keys")
            var sides = [try Side(server, plan, seed)]
            if let versus { sides.append(try Side(versus, plan, seed)) }
            for side in sides { try side.server.fill(side.workload) }
            for round in 0..<roundCount {
                for index in sides.indices {
                    tell("\(name): round \(round + 1) of \(roundCount) at \(sides[index].server.endpoint)")
                    try sides[index].measure(length, warmup: warmup, seed: seed &+ UInt64(round) &* 1_000)
                }
            }
            for index in sides.indices {
                try sides[index].verify()
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

        init(_ server: BenchServer, _ plan: BenchCase, _ seed: UInt64) throws(CommandFailure) {
            self.server = server
            let payloads = BenchPayloads(byteCount: plan.byteCount, count: plan.keyCount, seed: seed)
            let run = String(BenchClock.now(), radix: 36)
            var workload = BenchWorkload(plan: plan, payloads: payloads, run: run)
            if !plan.operation.isPlain, try !server.isNode(workload) {
                workload = BenchWorkload(plan: plan.plainCounterpart, payloads: payloads, run: run)
            }
            self.workload = workload
            result = BenchResult.Side(name: server.endpoint.description, plan: workload.plan)
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
    /// The server, and the one it is compared with.
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

    /// How many times the first server does what the second does, round by round; `nil` without a second one.
    var ratio: BenchSpread? {
        guard sides.count == 2 else { return nil }
        let speeds = sides.map { side in
            side.rounds.map { plan.operation.movesPayloads ? $0.gigabytesPerSecond : $0.keysPerSecond }
        }
        return BenchSpread.ratios(speeds[0], speeds[1])
    }
}
