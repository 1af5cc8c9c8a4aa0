import Foundation
import LarderClient
import TestSupport
import Testing

@testable import larder

@Suite(
    "Load generator and a real Redis",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/redis-server"))
)
struct BenchRedisTests {
    /// Runs `body` with the address of a redis-server of its own.
    private func withRedis(_ body: (LarderEndpoint) throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let socket = "\(directory.path)/redis.sock"
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/redis-server")
        process.arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        // Children of Foundation's Process inherit a blocked SIGTERM.
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        // The file is there before the server listens.
        for _ in 0..<2_000 where !Self.accepts(socket) { try await Task.sleep(for: .milliseconds(10)) }
        try body(.unix(path: socket))
    }

    private static func accepts(_ path: String) -> Bool {
        guard let address = SocketAddress(unixPath: path), let socket = StreamSocket(connectingTo: address)
        else {
            return false
        }
        return socket.wait(isWriting: true, milliseconds: 1_000) && socket.connectError() == 0
    }

    private func suite(
        _ endpoint: LarderEndpoint,
        versus: LarderEndpoint? = nil,
        _ operation: BenchOperation,
        _ concurrency: BenchConcurrency,
        byteCount: Int,
        keeps: Bool = false
    ) -> BenchSuite {
        let plan = BenchCase(
            operation: operation,
            byteCount: byteCount,
            keyCount: 12,
            batch: 3,
            concurrency: concurrency,
            readPercent: 50,
            verifiesInside: true
        )
        return BenchSuite(
            servers: [BenchServer(target: BenchTarget(endpoint), credentials: nil)]
                + (versus.map { [BenchServer(target: BenchTarget($0), credentials: nil)] } ?? []),
            cases: [plan],
            length: .operations(40),
            warmup: 1_000_000,
            roundCount: 2,
            seed: 1,
            keepsKeys: keeps
        )
    }

    @Test(
        "every operation runs, verified inside and outside, and leaves nothing behind",
        arguments: [1, 100, 200_000]
    )
    func operations(byteCount: Int) async throws {
        try await withRedis { endpoint in
            for operation in BenchOperation.allCases {
                for concurrency in [
                    BenchConcurrency(connectionCount: 1, depth: 1),
                    BenchConcurrency(connectionCount: 2, depth: 3),
                ] {
                    let results = try suite(endpoint, operation, concurrency, byteCount: byteCount).run { _ in
                    }
                    let side = try #require(results.first?.sides.first)
                    #expect(side.faults == BenchReplyCheck.Faults(), "\(operation)")
                    #expect(side.rounds.count == 2)
                    #expect(side.rounds.allSatisfy { $0.operationsPerSecond > 0 && $0.p50 > 0 })
                    #expect(side.plan.operation == operation.plainCounterpart)
                    if operation.movesPayloads { #expect(side.verifiedKeyCount == 12) }
                }
            }
            let left = try suite(endpoint, .get, BenchConcurrency(connectionCount: 1, depth: 1), byteCount: 1)
                .servers[0].verify(
                    BenchWorkload(
                        plan: suite(
                            endpoint,
                            .get,
                            BenchConcurrency(connectionCount: 1, depth: 1),
                            byteCount: 1
                        )
                        .cases[0],
                        payloads: BenchPayloads(byteCount: 1, count: 12, seed: 1),
                        run: "never"
                    )
                )
            #expect(left.faults.missCount == 12)
        }
    }

    @Test("two servers are measured in turns and compared")
    func versus() async throws {
        try await withRedis { endpoint in
            let concurrency = BenchConcurrency(connectionCount: 1, depth: 2)
            let results = try suite(endpoint, versus: endpoint, .set, concurrency, byteCount: 5_000).run {
                _ in
            }
            let result = try #require(results.first)
            #expect(result.sides.count == 2 && result.sides.allSatisfy { $0.rounds.count == 2 })
            #expect((result.ratio(to: 1)?.median ?? 0) > 0)
            #expect(!result.isWrong)
            let table = BenchReport.report(results).render(.table)
            #expect(table.split(separator: "\n").count == 3)
            #expect(BenchReport.report(results).render(.json).contains("\"gb_per_second\""))
        }
    }

    @Test("bytes that somebody changed are found")
    func changedBytes() async throws {
        try await withRedis { endpoint in
            let server = BenchServer(target: BenchTarget(endpoint), credentials: nil)
            let plan = suite(endpoint, .get, BenchConcurrency(connectionCount: 1, depth: 1), byteCount: 1_000)
                .cases[0]
            let stored = BenchWorkload(
                plan: plan,
                payloads: BenchPayloads(byteCount: 1_000, count: 12, seed: 1),
                run: "r"
            )
            try server.fill(stored)
            #expect(try server.verify(stored).faults.wrongByteCount == 0)
            let expected = BenchWorkload(
                plan: plan,
                payloads: BenchPayloads(byteCount: 1_000, count: 12, seed: 2),
                run: "r"
            )
            #expect(try server.verify(expected).faults.wrongByteCount == 12)
            try server.clean(stored)
            #expect(try server.verify(stored).faults.missCount == 12)
        }
    }

    @Test("a server that is not there is a failure that says so")
    func nobody() {
        let server = BenchServer(target: BenchTarget(.unix(path: "/nobody/here")), credentials: nil)
        let payloads = BenchPayloads(byteCount: 1, count: 1, seed: 1)
        #expect(throws: CommandFailure.self) {
            _ = try BenchConnection(
                server.target,
                credentials: nil,
                payloads: payloads,
                depth: 1,
                batch: 1,
                verifies: false
            )
        }
    }
}
