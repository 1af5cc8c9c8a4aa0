import Foundation
import Glibc
import Testing

@testable import larder

@Suite("larder top against nodes of its own", .serialized)
struct TopProgramTests {
    private let namespace = #"{"model":"m"}"#

    /// What `larder top --once` says in JSON.
    private func top(_ arguments: [String]) throws -> [String: Any] {
        let result = try RunningProgram(
            ["top", "--once", "--interval", "100ms", "--output", "json"] + arguments
        ).finish()
        #expect(result.status == 0, "\(result.errors)")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        )
    }

    private func nodes(_ view: [String: Any]) throws -> [[String: Any]] {
        try #require(view["nodes"] as? [[String: Any]])
    }

    @Test("a node that is alone is shown with its figures")
    func alone() throws {
        let (node, address) = try RunningProgram.startNode()
        for _ in 0..<2 {
            let put = ["put", "--node", address, "--ns", namespace, "first", "-"]
            #expect(try RunningProgram(put, input: "hello").finish().status == 0)
        }
        for _ in 0..<3 {
            let match = ["match", "--node", address, "--ns", namespace, "first"]
            #expect(try RunningProgram(match).finish().status == 0)
        }
        let view = try top(["--node", address, "--ns", namespace, "--hot", "3"])
        #expect(view["epoch"] is NSNull)
        let own = try #require(try nodes(view).first)
        #expect(own["node"] as? String == address)
        #expect(own["state"] as? String == "alone")
        #expect(own["answers"] as? Bool == true)
        #expect(try #require(own["requests_per_second"] as? Double) > 0)
        #expect(own["latency_put_requests"] is NSNumber)
        #expect(try #require(own["memory_used_bytes"] as? Int) > 0)
        let hot = try #require(view["hot"] as? [[String: Any]])
        #expect(hot.first?["last_key"] as? String == "6669727374")
        #expect(hot.first?["hits"] as? Int == 3)

        let table = try RunningProgram.run("top", "--once", "--interval", "100ms", "--node", address)
        #expect(table.status == 0)
        #expect(table.output.contains("REQ/S") && table.output.contains("alone"))
        #expect(!table.output.contains("\u{1b}"), "nothing for a terminal where there is none")
        node.terminate()
        #expect(try node.finish().status == 0)

        let nobody = try RunningProgram.run("top", "--once", "--node", address, "--timeout", "1s")
        #expect(nobody.status == ExitStatus.unavailable.rawValue)
    }

    @Test(
        "all nodes of a cluster are shown, and one that has died as down or silent, with the others' figures"
    )
    func cluster() throws {
        let ports = try FreePorts(count: 3).ports
        let names = ["a", "b", "c"]
        let list = "static:" + zip(names, ports).map { "\($0)=127.0.0.1:\($1)" }.joined(separator: ",")
        let programs = try zip(names, ports).map { name, port in
            try RunningProgram([
                "serve", "--port", String(port), "--memory", "32MiB", "--prefault", "false", "--cluster",
                list,
                "--node-name", name, "--log-format", "json",
            ])
        }
        for program in programs { _ = try #require(program.line(containing: #""message":"ready""#)) }
        let address = "127.0.0.1:\(ports[0])"
        let wait = try RunningProgram.run(
            "cluster",
            "status",
            "--node",
            address,
            "--wait",
            "30s",
            "--nodes",
            "3"
        )
        #expect(wait.status == 0, "\(wait.errors)")

        let all = try top(["--node", address])
        #expect(all["epoch"] is NSNumber)
        #expect(try nodes(all).map { $0["node"] as? String } == names)
        #expect(
            try nodes(all).allSatisfy { $0["answers"] as? Bool == true && $0["state"] as? String == "active" }
        )
        let share = try nodes(all).reduce(0) { $0 + ($1["share"] as? Double ?? 0) }
        #expect(abs(share - 1) < 1e-9)
        #expect(try nodes(all).allSatisfy { $0["cluster_handover_phase"] is String })

        programs[2].killHard()
        let fewer = try nodes(try top(["--node", address]))
        #expect(fewer.map { $0["answers"] as? Bool } == [true, true, false])
        #expect(["down", "silent"].contains(fewer[2]["state"] as? String))
        #expect(fewer[2]["requests_per_second"] is NSNull)
        #expect(fewer[0]["requests_per_second"] is NSNumber)

        for program in programs.prefix(2) { program.terminate() }
        for program in programs.prefix(2) { _ = try program.finish() }
    }
}

/// Ports that were free a moment ago.
private struct FreePorts {
    let ports: [UInt16]

    init(count: Int) throws {
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { for socket in sockets { close(socket) } }
        ports = try sockets.map { descriptor in
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let outcome = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe bind(descriptor, address, length) == 0
                        ? unsafe getsockname(descriptor, address, &length) : -1
                }
            }
            guard outcome == 0 else { throw PlainClient.Ended() }
            return UInt16(bigEndian: address.sin_port)
        }
    }
}
