internal import Blocks
internal import LarderClient
internal import Synchronization
internal import TraceReplay

/// A replay under way: clients that take one request after the other, in the trace's order.
final class ReplayRun: Sendable {
    private struct State {
        var next = 0
        var isDone: [Bool]
        var tally = ReplayTally()
    }

    private enum Ending {
        case client
        case watcher
        case interrupted
    }

    private let plan: ReplayPlan
    private let client: LarderClient
    private let exchange: ReplayExchange
    private let state: Mutex<State>
    private let clock = ContinuousClock()

    /// - Parameters:
    ///   - namespace: whose the blocks are; described to the client.
    ///   - lease: for how long what a match found stays readable.
    init(_ plan: ReplayPlan, _ client: LarderClient, _ namespace: NamespaceID, lease: Duration) {
        self.plan = plan
        self.client = client
        exchange = ReplayExchange(
            client: client,
            namespace: namespace,
            payloads: ReplayPayloads(byteCount: plan.blockByteCount),
            lease: lease
        )
        state = Mutex(State(isDone: Array(repeating: false, count: plan.requestCount)))
    }

    /// Makes all requests, or those that are begun when `signals` says something.
    func run(until signals: AsyncStream<String>) async -> ReplayOutcome {
        let start = clock.now
        await withTaskGroup(of: Ending.self) { group in
            var clientCount = min(plan.clientCount, plan.requestCount)
            for _ in 0..<clientCount {
                group.addTask {
                    await self.work(from: start)
                    return .client
                }
            }
            group.addTask {
                await self.watch()
                return .watcher
            }
            group.addTask {
                for await _ in signals { return .interrupted }
                return .watcher
            }
            for await ending in group {
                switch ending {
                case .client:
                    clientCount -= 1
                    if clientCount == 0 { group.cancelAll() }
                case .interrupted: group.cancelAll()
                case .watcher: break
                }
            }
        }
        return outcome(seconds: (clock.now - start) / .seconds(1))
    }

    private func outcome(seconds: Double) -> ReplayOutcome {
        let (tally, isDone) = state.withLock { ($0.tally, $0.isDone) }
        return ReplayOutcome(
            tally: tally,
            requestCountPlanned: plan.requestCount,
            blockByteCount: plan.blockByteCount,
            seconds: seconds,
            endless: plan.endlessResult(of: isDone.indices.filter { isDone[$0] }),
            failedCalls: client.statistics.failureCounts
        )
    }

    /// One client: ends with the trace, or with its task. A request that is begun is made to its end.
    private func work(from start: ContinuousClock.Instant) async {
        let buffer = ReplayBuffer(blockByteCount: plan.blockByteCount, countMax: plan.chainCountMax)
        while !Task.isCancelled, let request = takeNext() {
            var lateness = Duration.zero
            if let delay = plan.delay(of: request) {
                guard (try? await clock.sleep(until: start + delay)) != nil else { return }
                lateness = max(.zero, clock.now - (start + delay))
            }
            var done = await exchange.perform(
                plan.recorded.blocks(of: request),
                inputTokenCount: plan.recorded.requests[request].inputTokenCount,
                buffer
            )
            done.lateness = UInt64(max(0, lateness / .nanoseconds(1)))
            record(request, done)
        }
    }

    private func takeNext() -> Int? {
        state.withLock { state in
            guard state.next < plan.requestCount else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    private func record(_ request: Int, _ done: ReplayedRequest) {
        state.withLock { state in
            state.isDone[request] = true
            state.tally.add(done)
        }
    }

    /// Shows how far the run is, until its task is cancelled; nothing of a run that is over at once.
    private func watch() async {
        let line = ProgressLine()
        var hasShown = false
        while (try? await clock.sleep(for: .milliseconds(500))) != nil {
            line.show(progress(seconds: line.elapsedSeconds))
            hasShown = true
        }
        if hasShown { line.finish(progress(seconds: line.elapsedSeconds)) }
    }

    private func progress(seconds: Double) -> String {
        let (count, hits, loaded) = state.withLock {
            ($0.tally.requestCount, $0.tally.hitPercent, $0.tally.sum.loadedCount)
        }
        let done = Report.Cell.integer(count).text
        let all = Report.Cell.integer(plan.requestCount).text
        let speed = Rate.text(Double(loaded * plan.blockByteCount) / max(seconds, 1e-3))
        return "\(done) of \(all) requests, \(Rate.decimals(hits, 2)) % hits, \(speed) loaded"
    }
}
