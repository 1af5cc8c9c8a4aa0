internal import Foundation
internal import Histogram
internal import Synchronization

/// One round: all connections of a case at once, each on a thread of its own.
struct BenchRound {
    let server: BenchServer
    let workload: BenchWorkload
    let length: BenchLength
    /// Nanoseconds of the same load before anything counts.
    let warmup: UInt64
    let seed: UInt64

    /// Runs it and returns its figures, and what was wrong.
    func run() throws(CommandFailure) -> (figures: BenchFigures, faults: BenchReplyCheck.Faults) {
        let count = workload.plan.concurrency.connectionCount
        // Connected and with its memory touched before the first request is sent.
        var connections: [BenchConnection] = []
        for _ in 0..<count {
            connections.append(try server.connect(workload, verifies: workload.plan.verifiesInside))
        }
        let start = BenchClock.now()
        let timing = Timing(measuredFrom: start &+ warmup, length: length, plan: workload, seed: seed)
        let results = Mutex<[Result<BenchTally, CommandFailure>]>([])
        let group = DispatchGroup()
        for (index, connection) in connections.enumerated() {
            let worker = Worker(connection, workload, timing, seed &+ UInt64(index), index)
            group.enter()
            let thread = Thread {
                let result = worker.run()
                results.withLock { $0.append(result) }
                group.leave()
            }
            thread.stackSize = 1 << 20
            thread.start()
        }
        group.wait()
        var total = BenchTally()
        for result in results.withLock({ $0 }) { total.add(try result.get()) }
        let end =
            switch length {
            case .time(let nanoseconds): timing.measuredFrom &+ nanoseconds
            case .operations, .once: total.endedAt
            }
        let nanoseconds = end > timing.measuredFrom ? end - timing.measuredFrom : 1
        return (BenchFigures(total, nanoseconds: nanoseconds), total.faults)
    }

    /// What counts, and when to stop.
    private final class Timing: Sendable {
        let measuredFrom: UInt64
        private let end: UInt64
        private let operationCount: Int
        private let startedCount = Atomic<Int>(0)
        /// The order of operations that each run once; empty where they repeat.
        private let order: [Int]

        init(measuredFrom: UInt64, length: BenchLength, plan: BenchWorkload, seed: UInt64) {
            self.measuredFrom = measuredFrom
            switch length {
            case .time(let nanoseconds):
                end = measuredFrom &+ nanoseconds
                operationCount = .max
                order = []
            case .operations(let count):
                end = .max
                operationCount = count
                order = []
            case .once:
                var random = BenchRandom(seed: seed)
                end = .max
                operationCount = plan.distinctCount
                order = (0..<operationCount).shuffled(using: &random)
            }
        }

        /// One more operation.
        enum Next {
            /// Any.
            case free
            /// The one with this number.
            case numbered(Int)
        }

        /// What begins at `now`; `nil` when nothing does any more.
        func next(at now: UInt64) -> Next? {
            guard now < end else { return nil }
            guard order.isEmpty else {
                let place = startedCount.add(1, ordering: .relaxed).oldValue
                return order.indices.contains(place) ? .numbered(order[place]) : nil
            }
            guard now >= measuredFrom, operationCount != .max else { return .free }
            return startedCount.add(1, ordering: .relaxed).oldValue < operationCount ? .free : nil
        }

        /// Whether an operation is of the timed part.
        func counts(startedAt: UInt64, endedAt: UInt64) -> Bool {
            operationCount == .max ? endedAt >= measuredFrom && endedAt < end : startedAt >= measuredFrom
        }
    }

    /// The thread behind one connection.
    private final class Worker: @unchecked Sendable {
        // SAFETY of @unchecked Sendable: handed to one thread, which alone uses it.
        private let connection: BenchConnection
        private let workload: BenchWorkload
        private let timing: Timing
        private var random: BenchRandom
        private var sequence: Int
        private var written: [BenchRequest?]
        private var tally = BenchTally()

        init(
            _ connection: BenchConnection,
            _ workload: BenchWorkload,
            _ timing: Timing,
            _ seed: UInt64,
            _ index: Int
        ) {
            self.connection = connection
            self.workload = workload
            self.timing = timing
            random = BenchRandom(seed: seed)
            // Puts of blocks never repeat a key: each connection of each round counts in a range of its own.
            sequence = Int(truncatingIfNeeded: random.next() & 0xff_ffff) << 20
            written = workload.isRepeatable ? Array(repeating: nil, count: workload.distinctCount) : []
        }

        func run() -> Result<BenchTally, CommandFailure> {
            do throws(CommandFailure) {
                let depth = workload.plan.concurrency.depth
                while true {
                    while connection.pendingCount < depth, let next = timing.next(at: BenchClock.now()) {
                        try connection.start(request(next))
                    }
                    guard connection.pendingCount > 0 else { return .success(tally) }
                    count(try connection.finishOldest())
                }
            } catch {
                return .failure(error)
            }
        }

        private func request(_ next: Timing.Next) -> BenchRequest {
            if case .numbered(let number) = next { return workload.request(number, random: random.next()) }
            guard workload.isRepeatable else {
                sequence += 1
                return workload.request(
                    workload.plan.operation == .mixed ? Int(random.next() & 0xffff_ffff) : sequence,
                    random: random.next()
                )
            }
            let number = Int(random.next() % UInt64(workload.distinctCount))
            if let request = written[number] { return request }
            let request = workload.request(number)
            written[number] = request
            return request
        }

        private func count(_ outcome: BenchConnection.Outcome) {
            guard timing.counts(startedAt: outcome.startedAt, endedAt: outcome.endedAt) else { return }
            tally.operationCount += 1
            tally.keyCount += outcome.request.keys.count
            let arrived = outcome.request.keys.count - outcome.faults.missCount
            if workload.plan.operation.movesPayloads {
                tally.payloadByteCount += max(0, arrived) * workload.plan.byteCount
            }
            tally.faults += outcome.faults
            tally.endedAt = max(tally.endedAt, outcome.endedAt)
            tally.latencies.record(outcome.endedAt &- outcome.startedAt)
        }
    }
}
