import Foundation
import Testing

@Suite("larder bench against a node and bare sockets", .serialized)
struct BenchProgramTests {
    /// Rows of `larder bench ARGUMENTS`.
    private func rows(_ arguments: [String]) throws -> [[String: Any]] {
        let result = try RunningProgram(["bench"] + arguments + ["--output", "json"]).finish()
        #expect(result.status == 0, "\(result.errors)")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]]
        )
    }

    private func expectRight(_ rows: [[String: Any]], verified: Int) {
        for row in rows {
            for fault in ["errors", "wrong", "misses"] { #expect(row[fault] as? Int == 0, "\(row)") }
            #expect(row["verified"] as? Int == verified, "\(row)")
        }
    }

    @Test("node and bare sockets answer the same client, byte for byte", arguments: ["1", "100", "300000"])
    func bare(size: String) throws {
        let (node, address) = try RunningProgram.startNode()
        let bare = try RunningProgram(["bench", "bare", "--port", "0"])
        defer {
            node.terminate()
            bare.terminate()
        }
        let line = try #require(bare.line(containing: "listening on "))
        let other = String(line.dropFirst("listening on ".count))
        let rows = try rows([
            "server", "--node", address, "--versus", other, "--op", "get,set,mixed", "--size", size, "--keys",
            "12",
            "--batch", "3", "--inflight", "1,3x2", "--count", "30", "--rounds", "2", "--warmup", "1ms",
            "--verify",
        ])
        #expect(rows.count == 12)
        expectRight(rows, verified: 12)
        let ratio = try #require(rows[1]["ratio"] as? [String: Any])
        #expect((ratio["rounds"] as? [Double])?.count == 2)
        #expect(rows[0]["ratio"] is NSNull)
    }

    @Test("keys that were kept under a name are read once each by a later run")
    func keptKeys() throws {
        let (node, address) = try RunningProgram.startNode()
        defer { node.terminate() }
        let keys = [
            "server", "--node", address, "--op", "kvget", "--size", "1000", "--keys", "40", "--name", "kept",
        ]
        expectRight(try rows(keys + ["--keep", "--count", "1"]), verified: 40)
        let once = try rows(
            keys + ["--stored", "--once", "--batch", "4", "--inflight", "3", "--verify", "--keep"]
        )
        expectRight(once, verified: 40)
        #expect(once[0]["batch"] as? Int == 4)
        expectRight(try rows(keys + ["--stored", "--once", "--unverified"]), verified: 0)
        let result = try RunningProgram.run(
            "bench",
            "server",
            "--node",
            address,
            "--op",
            "kvget",
            "--size",
            "1000",
            "--keys",
            "40",
            "--name",
            "kept",
            "--stored",
            "--once",
            "--output",
            "json"
        )
        #expect(result.output.contains(#""misses": 80"#), "deleted by the run before: \(result.output)")
    }
}
