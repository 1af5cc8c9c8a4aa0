import Foundation
import Synchronization
import TestSupport
import Testing

@testable import larder

@Suite("a node whose RAM outlives its process", .serialized)
struct RestartProgramTests {
    /// A node's directories, and its runs.
    private final class Place {
        let data: ScratchDirectory
        let memory: TemporaryDirectory

        init() throws {
            data = try ScratchDirectory()
            memory = try TemporaryDirectory.inMemory()
        }

        var file: String { memory.path + "/memory" }

        func arguments(_ more: [String] = []) -> [String] {
            ["--data-dir", data.file("data"), "--disk", "256MiB", "--memory-file", file] + more
        }

        func start(_ more: [String] = []) throws -> (
            node: RunningProgram, port: UInt16, ready: [String: String]
        ) {
            let (node, ready) = try RunningProgram.startNodeReading(arguments(more))
            return (node, try #require(ready["port"].flatMap { UInt16($0) }), ready)
        }
    }

    private func stop(_ node: RunningProgram) throws -> String {
        node.terminate()
        let result = try node.finish()
        #expect(result.status == 0)
        return result.errors
    }

    @Test(
        "after SIGTERM and after SIGKILL every block is in RAM, and the log says how much and how to give it back"
    )
    func keeps() throws {
        let place = try Place()
        var random = SeededRandom(seed: 3)
        let values = (0..<20).map { random.bytes(1 + $0 * 5_003) }
        var (node, port, ready) = try place.start()
        #expect(ready["recovered_blocks"] == "0")
        var client = try PlainClient(port: port)
        for (number, value) in values.enumerated() { try client.set("key-\(number)", value) }
        try client.set("key-3", [1])
        try client.delete("key-4")
        let log = try stop(node)
        #expect(log.contains("the RAM tier is kept") && log.contains("larder memory remove \(place.file)"))
        for _ in 0..<2 {
            (node, port, ready) = try place.start()
            #expect(ready["recovered_blocks"] == "19")
            client = try PlainClient(port: port)
            for (number, value) in values.enumerated() {
                let expected = number == 3 ? [1] : number == 4 ? nil : value
                #expect(try client.get("key-\(number)") == expected)
            }
            let stats = try RunningProgram.run("stats", "--node", "127.0.0.1:\(port)", "--output", "json")
                .output
            let figures = try #require(
                try JSONSerialization.jsonObject(with: Data(stats.utf8)) as? [String: Any]
            )
            #expect(figures["hits_memory"] as? Int == 19)
            #expect(figures["hits_disk"] as? Int == 0)
            #expect(figures["memory_file"] as? String == place.file)
            node.killHard()
        }
        #expect(
            try RunningProgram.run("memory", "remove", place.file).output.hasPrefix("removed \(place.file), ")
        )
        #expect(try RunningProgram.run("memory", "remove", place.file).status == 1)
        #expect(!FileManager.default.fileExists(atPath: place.file))
        (node, port, ready) = try place.start()
        #expect(ready["recovered_blocks"] == "0")
        client = try PlainClient(port: port)
        #expect(try client.get("key-5") == values[5])
        node.killHard()
    }

    /// What one writer's keys may hold: the version that was answered last, and one that was sent and not answered.
    private final class Ledger: Sendable {
        struct Versions {
            var answered = 0
            var sent = 0
        }

        let versions = Mutex<[String: Versions]>([:])
        let answerCount = Atomic<Int>(0)

        func sending(_ key: String, _ version: Int) {
            versions.withLock { $0[key, default: Versions()].sent = version }
        }

        func answered(_ key: String, _ version: Int) {
            versions.withLock { $0[key, default: Versions()].answered = version }
            answerCount.wrappingAdd(1, ordering: .relaxed)
        }
    }

    /// The bytes of a key's version; even versions are deletions.
    private static func value(_ key: String, _ version: Int) -> [UInt8]? {
        guard version % 2 == 1 else { return nil }
        var random = SeededRandom(
            seed: UInt64(truncatingIfNeeded: key.utf8.reduce(version) { $0 &* 31 &+ Int($1) })
        )
        let byteCount = Int.random(in: 1...200_000, using: &random)
        return random.bytes(min(byteCount, 512))
            + [UInt8](repeating: UInt8(truncatingIfNeeded: version), count: byteCount)
    }

    private static func write(_ writer: Int, _ port: UInt16, _ ledger: Ledger, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        do {
            let client = try PlainClient(port: port)
            while true {
                let key = "w\(writer)-\(Int.random(in: 0..<25, using: &random))"
                let last = ledger.versions.withLock { $0[key]?.answered ?? 0 }
                // Now and then a value replaces a value.
                let version = last + (last % 2 == 1 && Int.random(in: 0..<3, using: &random) > 0 ? 2 : 1)
                ledger.sending(key, version)
                if let value = Self.value(key, version) {
                    try client.set(key, value)
                } else {
                    try client.delete(key)
                }
                ledger.answered(key, version)
            }
        } catch {
            // The node has gone.
        }
    }

    @Test("killed at any moment under writers: what was answered is there, in the version that was answered")
    func killedUnderLoad() async throws {
        let place = try Place()
        let ledger = Ledger()
        var random = SeededRandom(seed: 11)
        var (node, port, _) = try place.start()
        for round in 0..<6 {
            let target =
                ledger.answerCount.load(ordering: .relaxed) + Int.random(in: 20...400, using: &random)
            let seed = random.next()
            let ended = DispatchGroup()
            for writer in 0..<3 {
                ended.enter()
                let writerPort = port
                Thread.detachNewThread {
                    Self.write(writer, writerPort, ledger, seed: seed &+ UInt64(writer))
                    ended.leave()
                }
            }
            while ledger.answerCount.load(ordering: .relaxed) < target {
                try await Task.sleep(for: .milliseconds(1))
            }
            node.killHard()
            await withCheckedContinuation { continuation in
                ended.notify(queue: .global()) { continuation.resume() }
            }
            if round % 2 == 1 {
                // Once more while it starts.
                let starting = try RunningProgram(
                    [
                        "serve", "--port", "0", "--memory", "32MiB", "--log-format", "json", "--log-level",
                        "debug",
                    ]
                        + place.arguments()
                )
                _ = starting.line(
                    containing: Bool.random(using: &random) ? "disk tier open" : "memory taken back"
                )
                starting.killHard()
            }
            (node, port, _) = try place.start()
            let client = try PlainClient(port: port)
            for (key, versions) in ledger.versions.withLock({ $0 }) {
                let found = try client.get(key)
                let isAnswered = found == Self.value(key, versions.answered)
                #expect(
                    isAnswered || found == Self.value(key, versions.sent),
                    "round \(round), \(key), \(versions)"
                )
                // From now on this is what the key holds.
                ledger.versions.withLock {
                    $0[key]?.answered = isAnswered ? versions.answered : versions.sent
                    $0[key]?.sent = isAnswered ? versions.answered : versions.sent
                }
            }
            #expect(!ledger.versions.withLock { $0.isEmpty })
        }
        node.killHard()
    }

    @Test(
        "a run without the file, or with another size, starts from the disk; and nothing deleted comes back"
    )
    func otherRuns() throws {
        let place = try Place()
        var (node, port, ready) = try place.start()
        var client = try PlainClient(port: port)
        for number in 0..<5 {
            try client.set("key-\(number)", Array(repeating: UInt8(number), count: 10_000))
        }
        _ = try stop(node)
        (node, port, _) = try place.start(["--memory-file", "off"])
        client = try PlainClient(port: port)
        #expect(try client.get("key-0") != nil)
        try client.delete("key-0")
        try client.set("key-1", [7])
        _ = try stop(node)
        (node, port, ready) = try place.start()
        #expect(ready["recovered_blocks"] == "0")
        client = try PlainClient(port: port)
        #expect(try client.get("key-0") == nil)
        #expect(try client.get("key-1") == [7])
        #expect(try client.get("key-2") == Array(repeating: 2, count: 10_000))
        _ = try stop(node)
        (node, port, ready) = try place.start(["--memory", "64MiB"])
        #expect(ready["recovered_blocks"] == "0")
        client = try PlainClient(port: port)
        #expect(try client.get("key-1") == [7])
        node.killHard()
    }

    @Test("without a data directory, a path keeps blocks and identity; the other choices keep nothing")
    func memoryOnly() throws {
        let place = try Place()
        for _ in 0..<2 {
            let (node, ready) = try RunningProgram.startNodeReading(["--memory-file", place.file])
            let client = try PlainClient(port: try #require(ready["port"].flatMap { UInt16($0) }))
            if ready["recovered_blocks"] == "0" {
                try client.set("key", [1, 2, 3])
            } else {
                #expect(ready["recovered_blocks"] == "1")
                #expect(try client.get("key") == [1, 2, 3])
            }
            node.killHard()
        }
        let (node, ready) = try RunningProgram.startNodeReading(["--memory-file", "auto"])
        #expect(ready["recovered_blocks"] == nil)
        _ = try stop(node)
        let wrong = try RunningProgram.run("serve", "--memory-file", "yes")
        #expect(wrong.status == 64 && wrong.errors.contains("auto, off, or a path"))
    }

    @Test("a second node on the same file is refused, with the reason; the first goes on")
    func second() throws {
        let place = try Place()
        let (node, port, _) = try place.start()
        let other = try ScratchDirectory()
        let refused = try RunningProgram.run(
            "serve",
            "--port",
            "0",
            "--memory",
            "32MiB",
            "--data-dir",
            other.file("data"),
            "--memory-file",
            place.file
        )
        #expect(refused.status == 69 && refused.errors.contains("in use by another node"))
        #expect(try RunningProgram.run("memory", "remove", place.file).errors.contains("in use"))
        let client = try PlainClient(port: port)
        try client.set("key", [1])
        #expect(try client.get("key") == [1])
        node.killHard()
    }
}
