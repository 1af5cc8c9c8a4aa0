import Foundation
import TestSupport
import Testing

@testable import Node

/// A client in another process that holds shared memory, half written, until it is killed.
private final class HoldingClient {
    private let process = Process()
    private let output = Pipe()

    private static let script = """
        import array, mmap, socket, sys
        path, space = sys.argv[1:]
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)

        def ask(*words):
            text = b"*%d\\r\\n" % len(words)
            for word in words:
                word = str(word).encode()
                text += b"$%d\\r\\n%s\\r\\n" % (len(word), word)
            peer.sendall(text)

        ask("KV.ATTACH", "WRITE")
        reply, descriptors, _, _ = socket.recv_fds(peer, 4096, 1)
        figures = [int(line[1:]) for line in reply.split(b"\\r\\n")[1:4]]
        memory = mmap.mmap(descriptors[0], figures[1])
        ask("KV.BORROW", space, "KEYS", 1, "held")
        peer.recv(4096)
        ask("KV.RESERVE", space, "BLOCKS", 1, "torn", 8 << 20)
        reply = peer.recv(4096).split(b"\\r\\n")
        offset = int(reply[3][1:])
        print("ready", flush=True)
        while True:
            memory[offset:offset + (4 << 20)] = b"x" * (4 << 20)
        """

    init(path: String, space: String) throws {
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script, path, space]
        process.standardOutput = output
        try process.run()
        var line = ""
        while !line.hasSuffix("\n") {
            let part = output.fileHandleForReading.availableData
            guard !part.isEmpty else { throw WireError(text: "the client ended: \(line)") }
            line += String(decoding: part, as: UTF8.self)
        }
        guard line == "ready\n" else { throw WireError(text: "the client says \(line.debugDescription)") }
    }

    deinit { if process.isRunning { kill() } }

    func kill() { Foundation.kill(process.processIdentifier, SIGKILL) }
}

@Suite("A client that is killed while it holds shared memory")
struct KilledClientTests {
    @Test("gives back its loans and its places, and nothing half-written is visible")
    func killed() async throws {
        try await TestNode.with({ configuration, _ in configuration.sharesWrites = true }) { node in
            let client = try node.connectLocally()
            let space = try client.describeEmpty()
            try client.request(
                bytes: ["KV.PUT", space, "BLOCKS", "1", "held"].map { Array($0.utf8) } + [[1, 2]]
            )
            #expect(try client.receiveReply() == "*1\r\n+stored\r\n")
            for _ in 0..<3 {
                let holder = try HoldingClient(path: node.addresses.unixPath ?? "", space: space)
                #expect(node.figure("memory_leased_bytes") > 0)
                #expect(node.figure("memory_reserved_bytes") > 0)
                holder.kill()
                let killedAt = ContinuousClock.now
                while node.figure("memory_leased_bytes") + node.figure("memory_reserved_bytes") > 0,
                    ContinuousClock.now - killedAt < .seconds(10)
                {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(node.figure("memory_leased_bytes") == 0)
                #expect(node.figure("memory_reserved_bytes") == 0)
                #expect(
                    try client.ask("KV.GET", space, "KEYS", "2", "torn", "held").hasPrefix(
                        "*2\r\n$-1\r\n$2\r\n"
                    )
                )
            }
        }
    }
}
