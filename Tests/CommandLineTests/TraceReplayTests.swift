import ArgumentParser
import Blocks
import Foundation
import LarderClient
import Testing
import TraceReplay

@testable import larder

@Suite("what larder trace replay plans and proves")
struct TraceReplayTests {
    private func recorded(_ text: String) throws -> RecordedTrace {
        var parser = TraceFile.Parser(path: "t.jsonl")
        try parser.feed(Data(text.utf8))
        return try parser.finish()
    }

    private func plan(_ text: String, requests: Int? = nil, speed: Double? = nil) throws -> ReplayPlan {
        try ReplayPlan(
            recorded(text),
            path: "t.jsonl",
            requestCountMax: requests,
            blockByteCount: 64,
            clientCount: nil,
            speed: speed
        )
    }

    @Test("a request keeps the names of its blocks, its time and its length")
    func requests() throws {
        let trace = try recorded(
            """
            {"timestamp": 27000, "input_length": 600, "output_length": 52, "hash_ids": [46, 18446744073709551615]}

            {"timestamp": "soon", "input_length": 5000, "hash_ids": [46]}
            """
        )
        #expect(trace.blocks(of: 0) == [46, .max])
        #expect(trace.blocks(of: 1) == [46])
        #expect(
            trace.requests == [
                .init(line: 1, milliseconds: 27_000, inputTokenCount: 600),
                .init(line: 3, milliseconds: nil, inputTokenCount: 512),
            ]
        )
    }

    @Test("requests come by the timestamps, from the first one's on, so many times as fast")
    func times() throws {
        let lines = """
            {"timestamp": 1000, "hash_ids": [1]}
            {"timestamp": 4000, "hash_ids": [2]}
            {"timestamp": 500, "hash_ids": [3]}
            """
        let timed = try plan(lines, speed: 2)
        #expect((0..<3).map { timed.delay(of: $0) } == [.zero, .milliseconds(1_500), .zero])
        #expect(timed.clientCount == 64)
        let closed = try plan(lines, requests: 2)
        #expect(closed.delay(of: 1) == nil)
        #expect(closed.clientCount == 1)
        #expect(closed.requestCount == 2)
    }

    @Test("a line without a timestamp is named when timestamps are needed, and only then")
    func noTimestamp() throws {
        let lines = #"{"timestamp": 0, "hash_ids": [1]}"# + "\n" + #"{"hash_ids": [1]}"#
        #expect(try plan(lines).requestCount == 2)
        #expect(try plan(lines, requests: 1, speed: 1).requestCount == 1)
        let failure = #expect(throws: CommandFailure.self) { try plan(lines, speed: 1) }
        #expect(failure?.description.hasPrefix("t.jsonl:2: no timestamp") == true)
        #expect(failure?.status == .noInput)
    }

    @Test("the endless cache is that of the requests that were made")
    func endless() throws {
        let plan = try plan(
            """
            {"hash_ids": [0, 1]}
            {"hash_ids": [0, 1, 2]}
            {"hash_ids": [0, 1, 2]}
            """
        )
        #expect(plan.endlessResult(of: 0..<3).hitCount == 5)
        #expect(plan.endlessResult(of: [0, 2]).hitCount == 2)
        #expect(plan.endlessResult(of: [0, 2]).blockCount == 5)
        #expect(plan.chainCountMax == 3)
    }

    @Test(
        "any wrong byte of a payload is found, and another block's payload is wrong",
        arguments: [8, 64, 5_001]
    )
    func payloads(byteCount: Int) {
        let payloads = ReplayPayloads(byteCount: byteCount)
        let again = ReplayPayloads(byteCount: byteCount)
        let buffer = ReplayBuffer(blockByteCount: byteCount, countMax: 2)
        func firstWrong(_ block: UInt64, _ payloads: ReplayPayloads) -> Int? {
            unsafe payloads.firstWrongByte(of: block, in: UnsafeRawBufferPointer(buffer[1]))
        }
        unsafe payloads.write(7, to: buffer[1])
        #expect(firstWrong(7, again) == nil)
        #expect(firstWrong(8, payloads) == 0)
        #expect(firstWrong(7 + 256, payloads) == 1)
        for place in Set([0, 7, 8 % byteCount, byteCount / 2, byteCount - 1]) {
            unsafe buffer[1][place] ^= 1
            #expect(firstWrong(7, payloads) == place)
            unsafe buffer[1][place] ^= 1
        }
        #expect(
            unsafe payloads.firstWrongByte(of: 7, in: UnsafeRawBufferPointer(rebasing: buffer[1][..<7])) == 7
        )
    }

    @Test("options are read, and those that make no sense are refused")
    func options() throws {
        let plain = try TraceReplayCommand.parse(["t.jsonl"])
        #expect(plain.blockSize.bytes == 65_536)
        #expect(plain.clients == nil && plain.speed == nil && plain.requests == nil && !plain.keep)
        let full = try TraceReplayCommand.parse(
            [
                "-", "--node", "unix:/n.sock", "--block-size", "1MiB", "--requests", "5", "--clients", "3",
                "--speed", "2.5", "--namespace", "monday", "--keep", "--output", "json",
            ]
        )
        #expect(full.node.node == .unix(path: "/n.sock"))
        #expect(full.blockSize.bytes == 1 << 20)
        #expect(full.requests == 5 && full.clients == 3 && full.speed == 2.5)
        #expect(full.namespace == "monday" && full.keep)
        for wrong in [
            ["--block-size", "7"], ["--block-size", "1GiB"], ["--requests", "0"], ["--clients", "0"],
            ["--clients", "1025"], ["--speed", "0"], ["--speed", "nan"], ["--namespace", ""],
        ] {
            #expect(throws: (any Error).self, "\(wrong)") { try TraceReplayCommand.parse(["t"] + wrong) }
        }
    }

    @Test("runs of one name and one size of block share a namespace, others do not")
    func namespaces() throws {
        let first = try ReplayNamespace.description(name: #"a "b""#, blockByteCount: 64)
        #expect(try ReplayNamespace.description(name: #"a "b""#, blockByteCount: 64).id == first.id)
        #expect(try ReplayNamespace.description(name: "a", blockByteCount: 64).id != first.id)
        #expect(try ReplayNamespace.description(name: #"a "b""#, blockByteCount: 65).id != first.id)
        #expect(ReplayNamespace.freshName() != ReplayNamespace.freshName())
    }

    @Test("what existed and failed, was wrong, or was refused is told")
    func faults() {
        var tally = ReplayTally()
        var request = ReplayedRequest()
        request.blockCount = 10
        request.matchedCount = 4
        request.hitCount = 2
        request.loadedCount = 3
        request.refusals = ["overloaded": 6]
        request.wrongPayloads = (0..<7).map { "block \($0)" }
        tally.add(request)
        let outcome = ReplayOutcome(
            tally: tally,
            requestCountPlanned: 2,
            blockByteCount: 1_000,
            seconds: 2,
            endless: ReplayResult(),
            failedCalls: [.timedOut: 1]
        )
        #expect(outcome.faults.count == 5 + 3)
        #expect(outcome.notes.count == 2)
        let json = ReplayReport.report(outcome, .jsonl).render(.jsonl)
        for part in [
            #""requests":1"#, #""hit_percent":20.0"#, #""existed_but_failed":1"#, #""wrong_blocks":7"#,
            #""refusals":{"overloaded":6}"#, #""failed_calls":{"timedOut":1}"#, #""loaded_bytes":3000"#,
            #""load_p50_us":null"#,
        ] {
            #expect(json.contains(part), "\(part)")
        }
        #expect(ReplayReport.report(outcome, .table).rows.allSatisfy { $0.count == 2 })
    }
}
