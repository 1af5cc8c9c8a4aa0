import Blocks
import TestSupport
import Testing
import Tiering

@testable import Node

@Suite("Latencies of requests")
struct LatencyTests {
    @Test("every latency has one bucket, in order, and none is lost")
    func buckets() {
        for index in 0..<LatencyBuckets.count {
            let lower = LatencyBuckets.lowerBound(index)
            let next = LatencyBuckets.lowerBound(index + 1)
            #expect(lower < next)
            #expect(LatencyBuckets.index(nanoseconds: lower) == index)
            #expect(LatencyBuckets.index(nanoseconds: next - 1) == index)
            if index > 0 { #expect(Double(next - lower) <= Double(lower) / 8 + 1) }
        }
        #expect(LatencyBuckets.index(nanoseconds: .max) == LatencyBuckets.count - 1)
    }

    @Test("percentiles are within an eighth of the exact ones", arguments: [UInt64(1), 2, 3])
    func percentiles(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let latencies = (0..<10_000).map { _ in UInt64(1) << random.next(upperBound: UInt64(33)) }
            .map { $0 + random.next(upperBound: $0) }.map { max($0, 64) }.sorted()
        var counts = LatencyCounts()
        for latency in latencies { counts.add(1, at: LatencyBuckets.index(nanoseconds: latency)) }
        let longest = latencies.last ?? 0
        for part in [0.01, 0.5, 0.9, 0.99, 1] {
            let exact = Double(latencies[Int((part * 10_000).rounded(.up)) - 1])
            let told = counts.percentile(part, longest: longest)
            #expect(
                told >= exact * 0.875 && told <= exact * 1.125,
                "seed \(seed), \(part): \(told), \(exact)"
            )
        }
        #expect(counts.percentile(1, longest: longest) <= Double(longest))
        #expect(LatencyCounts().percentile(0.5, longest: 0) == 0)
    }

    @Test("a request is among the latest for ten seconds, and in the total for ever")
    func window() {
        let second: UInt64 = 1_000_000_000
        let latencies = RequestLatencies(now: 0)
        let loops = [latencies.recorder(), latencies.recorder()]
        loops[0].record(.get, nanoseconds: 1_000_000)
        loops[1].record(.get, nanoseconds: 5_000_000)
        func figure(_ name: String, at now: UInt64) -> StatisticValue? {
            latencies.fields(at: now).first { $0.name == name }?.value
        }
        #expect(figure("latency_get_requests", at: 1) == .integer(2), "before the first look too")
        #expect(figure("latency_get_max_microseconds", at: 1) == .ratio(5_000))
        #expect(figure("latency_get_max_microseconds", at: 2) == .ratio(5_000), "asking takes nothing away")
        for now in 1...9 { latencies.look(at: UInt64(now) * second) }
        #expect(figure("latency_get_requests", at: 9 * second) == .integer(2))
        #expect(figure("latency_window_seconds", at: 9 * second) == .ratio(9))
        loops[0].record(.get, nanoseconds: 2_000_000)
        for now in 10...12 { latencies.look(at: UInt64(now) * second) }
        #expect(figure("latency_get_requests", at: 12 * second) == .integer(1))
        #expect(figure("latency_get_max_microseconds", at: 12 * second) == .ratio(2_000))
        #expect(figure("latency_get_p99_microseconds", at: 12 * second) == .ratio(2_000))
        #expect(figure("latency_get_total_requests", at: 12 * second) == .integer(3))
        #expect(figure("latency_get_total_max_microseconds", at: 12 * second) == .ratio(5_000))
        for now in 13...30 { latencies.look(at: UInt64(now) * second) }
        #expect(figure("latency_get_requests", at: 30 * second) == .integer(0))
        #expect(figure("latency_get_p50_microseconds", at: 30 * second) == .ratio(0))
        #expect(figure("latency_window_seconds", at: 30 * second) == .ratio(10))
    }

    @Test("a request counts from when it is whole, with the time that it waited for the node before")
    func stopwatch() {
        let clock = VirtualClock()
        let latencies = RequestLatencies(now: clock.monotonicNanoseconds())
        var stopwatch = RequestStopwatch(recorder: latencies.recorder(), clock: clock)
        func longest(_ kind: RequestKind) -> StatisticValue? {
            latencies.fields(at: clock.monotonicNanoseconds())
                .first { $0.name == "latency_\(kind.fieldName)_max_microseconds" }?.value
        }
        stopwatch.begin(.get)
        clock.advance(milliseconds: 3)
        stopwatch.end()
        #expect(longest(.get) == .ratio(3_000))

        // Payload bytes come: that is the client's time. Waiting for space is not.
        stopwatch.timePasses()
        clock.advance(milliseconds: 100)
        let began = clock.monotonicNanoseconds()
        clock.advance(milliseconds: 20)
        stopwatch.waited(since: began)
        clock.advance(milliseconds: 100)
        #expect(stopwatch.begin(.put) == clock.monotonicNanoseconds())
        clock.advance(milliseconds: 1)
        stopwatch.end()
        #expect(longest(.put) == .ratio(21_000))

        // A request that is not measured leaves nothing for the next.
        stopwatch.begin(nil)
        clock.advance(milliseconds: 50)
        stopwatch.end()
        stopwatch.begin(.match)
        stopwatch.end()
        #expect(longest(.match) == .ratio(0))
        #expect(longest(.other) == .ratio(0))
    }

    @Test("a node counts its requests by kind")
    func node() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let ns = try client.describeEmpty()
            let large = String(repeating: "x", count: 100_000)
            #expect(try client.ask("SET", "a", large) == "+OK\r\n")
            #expect(try client.ask("KV.PUT", ns, "BLOCKS", "1", "b", "B") == "*1\r\n+stored\r\n")
            for _ in 0..<3 { _ = try client.ask("KV.GET", ns, "KEYS", "1", "b") }
            #expect(try client.ask("EXISTS", "a") == ":1\r\n")
            _ = try client.ask("KV.MATCH", ns, "KEYS", "1", "b")
            #expect(try client.ask("NONSENSE").hasPrefix("-ERR unknown command"))
            // Several in one packet are measured each for itself.
            try client.send("GET none\r\nGET none\r\nPING\r\n")
            let replies = "$-1\r\n$-1\r\n+PONG\r\n"
            #expect(try client.receive(like: replies) == replies)
            let figures = try node.latencies()
            #expect(figures["latency_put_total_requests"] == 2)
            #expect(figures["latency_get_total_requests"] == 5)
            #expect(figures["latency_match_total_requests"] == 2)
            #expect(figures["latency_other_total_requests"] == 2, "DESCRIBE and PING")
            #expect(figures["latency_peer_total_requests"] == 0)
            let reply = try client.ask("KV.STATS")
            #expect(reply.contains("$28\r\nlatency_get_p99_microseconds\r\n"))
            #expect(reply.contains("$14\r\nuptime_seconds\r\n:"))
        }
    }

    @Test("what nodes ask each other is told apart from what clients ask")
    func peers() async throws {
        try await TestCluster.with(TestCluster.Plan(count: 2)) { cluster in
            let key = try #require(
                try TestCluster.keys(100).first { try cluster.owner(of: $0) == 1 }
            )
            let client = try cluster.nodes[0].connect()
            let ns = try client.describeEmpty()
            #expect(try client.ask("KV.PUT", ns, "BLOCKS", "1", key, "B") == "*1\r\n+stored\r\n")
            // What a client puts at the wrong door is handed on.
            try await Eventually.holds("the owner has it") {
                try cluster.nodes[1].latencies()["latency_peer_total_requests"] ?? 0 > 0
                    && cluster.nodes[1].figure("memory_blocks") == 1
            }
            let own = try cluster.nodes[0].latencies()
            let other = try cluster.nodes[1].latencies()
            #expect(own["latency_put_total_requests"] == 1)
            #expect(other["latency_put_total_requests"] == 0)
            #expect(other["latency_other_total_requests"] == 0, "heartbeats are not counted")
        }
    }
}

extension TestNode {
    /// The integers among the figures of latencies.
    func latencies() throws -> [String: Int] {
        guard let services = node.services else { throw WireError(text: "the node has stopped") }
        let fields = services.latencies.fields(at: services.store.clock.monotonicNanoseconds())
        return fields.reduce(into: [:]) { figures, field in
            if case .integer(let value) = field.value { figures[field.name] = value }
        }
    }
}
