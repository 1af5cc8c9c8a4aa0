import ArgumentParser
import Blocks
import Foundation
import Histogram
import LarderClient
import RESP
import Testing

@testable import larder

@Suite("Load generator")
struct BenchTests {
    private static func plan(
        _ operation: BenchOperation,
        keyCount: Int = 4,
        batch: Int = 2,
        byteCount: Int = 100
    ) -> BenchCase {
        BenchCase(
            operation: operation,
            byteCount: byteCount,
            keyCount: keyCount,
            batch: batch,
            concurrency: BenchConcurrency(connectionCount: 1, depth: 1),
            readPercent: 80,
            verifiesInside: false
        )
    }

    private static func workload(_ plan: BenchCase) -> BenchWorkload {
        let payloads = BenchPayloads(byteCount: plan.byteCount, count: plan.keyCount, seed: 1)
        return BenchWorkload(plan: plan, payloads: payloads, run: "r")
    }

    @Test(
        "what is in flight is connections, or connections x pipeline",
        arguments: [("1", 1, 1), ("4", 4, 1), ("1x4", 1, 4), ("256x16", 256, 16), ("1000", 1_000, 1)]
    )
    func concurrency(text: String, connectionCount: Int, depth: Int) {
        #expect(BenchConcurrency(text) == BenchConcurrency(connectionCount: connectionCount, depth: depth))
    }

    @Test(
        "what is no number in flight is refused",
        arguments: ["", "0", "x4", "4x", "1x2x3", "-1", "1025", "256x17", "a"]
    )
    func noConcurrency(text: String) {
        #expect(BenchConcurrency(text) == nil)
    }

    @Test("every operation is measured with every size and every number in flight")
    func cases() throws {
        let command = try ServerBenchCommand.parse([
            "--op", "get,match", "--size", "64KiB,2MiB", "--inflight", "1,2x4", "--port", "6379",
        ])
        let cases = try command.cases()
        #expect(cases.count == 8)
        #expect(
            cases.map(\.operation) == Array(repeating: .get, count: 4) + Array(repeating: .match, count: 4)
        )
        #expect(cases[3].byteCount == 2 << 20 && cases[3].concurrency.depth == 4 && cases[3].keyCount == 64)
        #expect(cases[4].batch == 1_000)
    }

    @Test(
        "contradictions and values out of range are refused",
        arguments: [
            ["--port", "1", "--unix", "/s"], ["--node", "h:1", "--host", "h"], ["--seconds", "0"],
            ["--count", "0"],
            ["--size", "1GiB"], ["--op", "get,fly"],
            ["--once", "--count", "1"], ["--stored"], ["--name", "a b"], ["--versus", "h:1,"],
            ["--reads", "101"], ["--batch", "0"],
        ]
    )
    func refused(arguments: [String]) {
        #expect(throws: (any Error).self) { try ServerBenchCommand.parse(arguments) }
    }

    @Test("each key has a payload of its own, the same for the same seed")
    func payloads() {
        for byteCount in [1 << 10, 5_000, 1 << 20] {
            let payloads = BenchPayloads(byteCount: byteCount, count: 50, seed: 3)
            let same = BenchPayloads(byteCount: byteCount, count: 50, seed: 3)
            let all = (0..<50).map { unsafe Array(payloads.payload($0)) }
            #expect(Set(all).count == 50)
            #expect((0..<50).allSatisfy { unsafe same.matches($0, payloads.payload($0)) })
            #expect(unsafe !payloads.matches(0, payloads.payload(1)))
            #expect(
                unsafe !payloads.matches(0, UnsafeRawBufferPointer(rebasing: payloads.payload(0).dropLast()))
            )
            #expect(unsafe payloads.matches(50, payloads.payload(0)))
        }
    }

    @Test("requests are what Redis and a node understand")
    func requests() {
        let payload = String(repeating: "p", count: 0)
        #expect(
            text(Self.workload(Self.plan(.get)).request(1))
                == "*2|$3|GET|$9|bench:r:2|*2|$3|GET|$9|bench:r:3|"
        )
        #expect(text(Self.workload(Self.plan(.exists, batch: 1)).request(5)) == "*2|$6|EXISTS|$9|bench:r:1|")
        let match = Self.workload(Self.plan(.match))
        let namespace = match.namespace?.description ?? ""
        #expect(
            text(match.request(0))
                == "*6|$8|KV.MATCH|$64|\(namespace)|$4|KEYS|$1|2|$9|bench:r:0|$9|bench:r:1|" + payload
        )
        let put = Self.workload(Self.plan(.kvput, byteCount: 1))
        #expect(put.request(7).keys == 14..<16)
        #expect(put.request(7).message.byteCount > put.request(7).replyCount)
        let mixed = Self.workload(Self.plan(.mixed))
        #expect(mixed.request(0, random: 79).expectation == .payloads)
        #expect(mixed.request(0, random: 80).expectation == .stored)
    }

    @Test("replies are judged: errors, misses and payloads of another length are counted")
    func judging() {
        let get = Self.workload(Self.plan(.get)).request(0)
        #expect(judge(get, [.bulkBegins(byteCount: 100), .bulkEnds, .null]).missCount == 1)
        #expect(judge(get, [.bulkBegins(byteCount: 99), .bulkEnds, .null]).wrongByteCount == 1)
        #expect(judge(get, [.failure(ReplyFailure("ERR x")), .null]).firstError == "ERR x")
        #expect(judge(get, [.status("OK"), .null]).errorCount == 1)
        let exists = Self.workload(Self.plan(.exists)).request(0)
        #expect(judge(exists, [.integer(1), .integer(0)]).missCount == 1)
        let match = Self.workload(Self.plan(.match)).request(0)
        #expect(
            judge(
                match,
                [.aggregateBegins(kind: .array, count: 3), .integer(1), .integer(0), .status("memory")]
            )
            .missCount == 1
        )
        let put = Self.workload(Self.plan(.kvput)).request(0)
        let refused: [ReplyEvent] = [
            .aggregateBegins(kind: .array, count: 2), .status("stored"), .status("refused overloaded"),
        ]
        #expect(judge(put, refused).errorCount == 1)
    }

    @Test("the middle and the range of rounds, and ratios round by round")
    func spread() {
        let odd = BenchSpread([3, 1, 2])
        #expect(odd?.median == 2 && odd?.smallest == 1 && odd?.largest == 3)
        #expect(BenchSpread([4, 1, 2, 3])?.median == 2.5)
        #expect(BenchSpread([]) == nil)
        let ratios = BenchSpread.ratios([2, 6, 9], [1, 2, 0])
        #expect(ratios?.smallest == 2 && ratios?.largest == 3)
        #expect(BenchReport.cell(odd, 1).text == "2.0 [1.0-3.0]")
        #expect(BenchReport.cell(BenchSpread([5]), 0).text == "5")
    }

    @Test("figures are per second of the timed part, latencies in microseconds")
    func figures() {
        var tally = BenchTally()
        tally.operationCount = 10
        tally.keyCount = 20
        tally.payloadByteCount = 4_000_000_000
        for _ in 0..<99 { tally.latencies.record(100_000) }
        tally.latencies.record(5_000_000)
        let figures = BenchFigures(tally, nanoseconds: 2_000_000_000)
        #expect(figures.operationsPerSecond == 5 && figures.keysPerSecond == 10)
        #expect(figures.gigabytesPerSecond == 2)
        #expect(abs(figures.p50 - 100) < 1 && abs(figures.slowest - 5_000) < 10)
    }

    private func text(_ request: BenchRequest) -> String {
        var progress = BenchMessage.Progress()
        var bytes: [UInt8] = []
        while progress.byteCount < request.message.byteCount {
            unsafe request.message.sendNext(&progress, countMax: 64) { pieces in
                let next = unsafe pieces.flatMap { unsafe Array($0) }
                bytes += next
                return next.count
            }
        }
        return String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "|")
    }

    private func judge(_ request: BenchRequest, _ events: [ReplyEvent]) -> BenchReplyCheck.Faults {
        var check = BenchReplyCheck(request, payloadByteCount: 100)
        for event in events { check.take(event, isReplyWhole: false) }
        return check.faults
    }
}
