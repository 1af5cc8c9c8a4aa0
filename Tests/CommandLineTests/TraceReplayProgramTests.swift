import Blocks
import Foundation
import Testing
import TraceReplay

@testable import larder

@Suite("larder trace replay against a node", .serialized)
struct TraceReplayProgramTests {
    /// Conversations that grow, one prefix that all share, and a block that is there behind a hole.
    private static func requests(_ count: Int) -> [[UInt64]] {
        var random = BenchRandom(seed: 11)
        var chains: [[UInt64]] = []
        var next: UInt64 = 1
        return (0..<count).map { _ in
            let grows = !chains.isEmpty && Int.random(in: 0..<3, using: &random) > 0
            var chain = grows ? chains[Int.random(in: 0..<chains.count, using: &random)] : [0]
            let length = UInt64.random(in: 1...5, using: &random)
            chain += next..<(next + length)
            next += length
            chains.append(chain)
            if next.isMultiple(of: 7) { chain.insert(1_000_000 + next, at: 1) }
            return chain
        }
    }

    private static func text(_ requests: [[UInt64]]) -> String {
        requests.enumerated().map { index, chain in
            #"{"timestamp": \#(index * 20), "input_length": \#(chain.count * 512 - 100), "hash_ids": \#(chain)}"#
        }.joined(separator: "\n")
    }

    private func figures(_ result: RunningProgram.Result) throws -> [String: Any] {
        let list = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]]
        return try #require(list?.first, "\(result.errors)")
    }

    @Test("hits are exactly those of an endless cache, and a second run of the name meets the first")
    func endless() throws {
        let requests = Self.requests(60)
        var trace = Trace()
        for chain in requests { trace.append(chain) }
        let endless = OptimalReplay.run(trace, capacity: trace.uniqueBlockCount)
        let directory = try ScratchDirectory()
        let file = try directory.write(Self.text(requests), to: "t.jsonl")
        let (node, address) = try RunningProgram.startNode()
        let command = [
            "trace", "replay", file, "--node", address, "--block-size", "3000", "--output", "json",
        ]

        let first = try RunningProgram(command + ["--namespace", "n", "--keep"]).finish()
        #expect(first.status == 0, "\(first.errors)")
        let figures = try figures(first)
        #expect(figures["requests"] as? Int == 60)
        #expect(figures["blocks"] as? Int == endless.blockCount)
        #expect(figures["hits"] as? Int == endless.hitCount)
        #expect(figures["hit_percent"] as? Double == figures["endless_hit_percent"] as? Double)
        #expect(figures["stored"] as? Int == trace.uniqueBlockCount)
        #expect(figures["loaded_bytes"] as? Int == endless.hitCount * 3_000)
        for name in ["existed_but_failed", "refused", "wrong_blocks"] {
            #expect(figures[name] as? Int == 0, "\(name)")
        }

        let second = try self.figures(RunningProgram(command + ["--namespace", "n"]).finish())
        #expect(second["hits"] as? Int == endless.blockCount)
        #expect(second["hit_percent"] as? Double == 100)
        #expect((second["tokens_hit"] as? Int) == (second["tokens"] as? Int))

        // The second run took everything away.
        let third = try RunningProgram(
            command + ["--namespace", "n", "--clients", "4", "--speed", "4"]
        ).finish()
        #expect(third.status == 0, "\(third.errors)")
        let timed = try self.figures(third)
        #expect((timed["hits"] as? Int ?? .max) <= endless.hitCount)
        #expect((timed["seconds"] as? Double ?? 0) >= 59 * 0.02 / 4)
        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("a payload that is not the block's is noticed, and the program fails")
    func wrongBytes() throws {
        let directory = try ScratchDirectory()
        let file = try directory.write(#"{"hash_ids": [7, 8]}"#, to: "t.jsonl")
        let (node, address) = try RunningProgram.startNode()
        let description = try ReplayNamespace.description(name: "n", blockByteCount: 64)
        let namespace = String(decoding: description.canonicalBytes, as: UTF8.self)
        let put = try RunningProgram.run(
            "put",
            "--node",
            address,
            "--ns",
            namespace,
            "7",
            "-",
            input: String(repeating: "x", count: 64)
        )
        #expect(put.output == "stored\n")
        let result = try RunningProgram.run(
            "trace",
            "replay",
            file,
            "--node",
            address,
            "--block-size",
            "64",
            "--namespace",
            "n",
            "--output",
            "json"
        )
        #expect(result.status == ExitStatus.negative.rawValue)
        #expect(result.errors.contains("block 7 is not what was stored: byte 0 of 64"))
        let figures = try figures(result)
        #expect(figures["wrong_blocks"] as? Int == 1)
        #expect(figures["stored"] as? Int == 1)
        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("Ctrl-C ends a run with the figures so far")
    func interrupted() throws {
        let directory = try ScratchDirectory()
        let file = try directory.write(
            #"{"timestamp": 0, "hash_ids": [1]}"# + "\n" + #"{"timestamp": 3600000, "hash_ids": [1]}"#,
            to: "t.jsonl"
        )
        let (node, address) = try RunningProgram.startNode()
        let replay = try RunningProgram([
            "trace", "replay", file, "--node", address, "--speed", "1", "--output", "json",
        ])
        #expect(replay.line(containing: "1 of 2 requests") != nil)
        replay.interrupt()
        let result = try replay.finish()
        #expect(result.status == 0)
        #expect(result.errors.contains("ended early: 1 of 2 requests"))
        #expect(try figures(result)["requests"] as? Int == 1)
        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("a bad line, and a node that is away, end the program with one line that says so")
    func failures() throws {
        let directory = try ScratchDirectory()
        let bad = try directory.write("{\"hash_ids\": [1]}\n{\"hash_ids\": [1.5]}\n", to: "bad.jsonl")
        let result = try RunningProgram.run("trace", "replay", bad)
        #expect(result.status == ExitStatus.noInput.rawValue)
        #expect(result.errors.contains("bad.jsonl:2: not a request"))
        let good = try directory.write(#"{"hash_ids": [1]}"#, to: "good.jsonl")
        let away = directory.file("nobody.sock")
        let nobody = try RunningProgram.run("trace", "replay", good, "--node", "unix:\(away)")
        #expect(nobody.status == ExitStatus.unavailable.rawValue)
        #expect(nobody.errors.contains("larder serve"))
    }
}
