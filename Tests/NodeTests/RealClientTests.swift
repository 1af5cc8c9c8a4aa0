import Foundation
import TestSupport
import Testing

@testable import Node

@Suite("Real clients", .enabled(if: RedisServerProcess.tool("redis-cli") != nil))
struct RealClientTests {
    private func run(_ tool: String, _ arguments: [String], input: Data? = nil) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: RedisServerProcess.tool(tool) ?? "")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let entry = Pipe()
        process.standardInput = entry
        try process.run()
        if let input { try entry.fileHandleForWriting.write(contentsOf: input) }
        try entry.fileHandleForWriting.close()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    private func expect(_ arguments: [String], input: Data? = nil, _ isRight: (String) -> Bool) throws {
        let output = try run("redis-cli", arguments, input: input)
        #expect(isRight(output), "\(arguments.joined(separator: " ")): \(output.prefix(200))")
    }

    @Test("redis-cli talks to it over TCP and the Unix socket, in both versions")
    func commandLine() async throws {
        try await TestNode.with { node in
            for place in [["-p", "\(node.addresses.port ?? 0)"], ["-s", node.addresses.unixPath ?? ""]] {
                for version in [[], ["-3"]] {
                    let at = place + version
                    try expect(at + ["set", "k", "v"]) { $0 == "OK\n" }
                    try expect(at + ["get", "k"]) { $0 == "v\n" }
                    try expect(at + ["get", "none"]) { $0 == "\n" }
                    try expect(at + ["--scan"]) { $0 == "k\n" }
                    try expect(at + ["info", "replication"]) { $0.contains("role:master") }
                    try expect(at + ["client", "list"]) { $0.contains("cmd=client") }
                    try expect(at + ["command", "docs", "kv.match"]) { $0.contains("leading keys") }
                }
            }
        }
    }

    @Test(
        "redis-cli stores and returns large values from its standard input",
        arguments: [64 << 10, 1 << 20, 8 << 20]
    )
    func largeValues(_ count: Int) async throws {
        try await TestNode.with { node in
            let value = Data(SeededRandomBytes.make(count).map { UInt8(ascii: "a") + $0 % 26 })
            let at = ["-p", "\(node.addresses.port ?? 0)"]
            try expect(at + ["-x", "set", "k"], input: value) { $0 == "OK\n" }
            try expect(at + ["get", "k"]) { $0 == String(decoding: value, as: UTF8.self) + "\n" }
        }
    }

    @Test(
        "redis-benchmark runs SET, GET and MSET, pipelined and not, without an error",
        arguments: [[], ["-P", "16"]]
    )
    func benchmark(_ pipelining: [String]) async throws {
        try await TestNode.with { node in
            for size in ["3", "65536", "2097152"] {
                // Ten values at once of four clients would be more than the arena takes in at a time.
                let tests = size == "2097152" ? "set,get" : "set,get,mset"
                let output = try run(
                    "redis-benchmark",
                    ["-p", "\(node.addresses.port ?? 0)", "-t", tests, "-n", "200", "-c", "4", "-d", size]
                        + ["-r", "20", "-q"] + (size == "2097152" ? [] : pipelining)
                )
                #expect(output.contains("SET:") && output.contains("GET:"), "\(output)")
                #expect(!output.contains("rror"), "\(output)")
            }
        }
    }
}
