import Blocks
import Glibc
import TestSupport
import Testing

@testable import Node

/// The node's memory as a client maps it.
@safe private final class Mapping {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ descriptor: CInt, byteCount: Int, writable: Bool) throws {
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let address = unsafe mmap(nil, byteCount, protection, MAP_SHARED, descriptor, 0)
        guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else {
            throw WireError(text: "mmap: errno \(errno)")
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    }

    deinit { unsafe _ = munmap(bytes.baseAddress, bytes.count) }

    func part(_ offset: Int, _ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<(offset + byteCount)])
    }
}

@Suite("Shared memory")
struct SharedMemoryTests {
    private func numbers(_ reply: String) -> [Int] {
        reply.split(separator: "\r\n").compactMap { $0.first == ":" ? Int($0.dropFirst()) : nil }
    }

    private func attach(_ client: WireClient, writable: Bool = false) throws -> Mapping {
        try client.send(
            WireClient.encode((writable ? ["KV.ATTACH", "WRITE"] : ["KV.ATTACH"]).map { Array($0.utf8) })
        )
        let descriptor = try client.receiveDescriptor()
        defer { close(descriptor) }
        let figures = numbers(try client.receiveReply())
        try #require(figures.count == 3)
        #expect(figures[0] == 1)
        #expect(figures[2] == (writable ? 1 : 0))
        return try Mapping(descriptor, byteCount: figures[1], writable: writable)
    }

    @Test("a borrowed block is read in place, and stays there while memory is filled many times over")
    func borrow() async throws {
        try await TestNode.with { node in
            let client = try node.connectLocally()
            let space = try client.describeEmpty()
            let mapping = try attach(client)
            let value = SeededRandomBytes.make(1 << 20)
            try client.request(
                bytes: ["KV.PUT", space, "BLOCKS", "1", "key"].map { Array($0.utf8) } + [value]
            )
            #expect(try client.receiveReply() == "*1\r\n+stored\r\n")
            let loan = numbers(try client.ask("KV.BORROW", space, "KEYS", "2", "key", "absent"))
            try #require(loan.count == 4)
            #expect(loan[2] == value.count)
            let part = unsafe mapping.part(loan[1], loan[2])
            #expect(
                unsafe PayloadChecksum.of(UnsafeRawBufferPointer(part)) == UInt64(UInt(bitPattern: loan[3]))
            )
            let other = try node.connect()
            for number in 0..<200 {
                try other.request(
                    bytes: [
                        Array("SET".utf8), Array("k\(number)".utf8), [UInt8](repeating: 9, count: 1 << 20),
                    ]
                )
                #expect(try other.receiveLine() == "+OK\r\n")
            }
            #expect(unsafe Array(part) == value)
            #expect(try client.ask("KV.RELEASE", "\(loan[0])") == ":1\r\n")
            #expect(try client.ask("KV.RELEASE", "\(loan[0])") == ":0\r\n")
            #expect(node.figure("memory_leased_bytes") == 0)
        }
    }

    @Test("no descriptor can be made writable where writes are not shared")
    func readOnly() async throws {
        try await TestNode.with { node in
            let client = try node.connectLocally()
            try client.request("KV.ATTACH")
            let descriptor = try client.receiveDescriptor()
            defer { close(descriptor) }
            let figures = numbers(try client.receiveReply())
            #expect(throws: WireError.self) { try Mapping(descriptor, byteCount: figures[1], writable: true) }
            let again = unsafe open("/proc/self/fd/\(descriptor)", O_RDWR)
            if again >= 0 {
                #expect(throws: WireError.self) { try Mapping(again, byteCount: figures[1], writable: true) }
                close(again)
            }
            #expect(ftruncate(descriptor, 0) != 0)
            #expect(try client.ask("KV.ATTACH", "WRITE").hasPrefix("-NOPERM"))
            let space = try client.describeEmpty()
            #expect(try client.ask("KV.RESERVE", space, "BLOCKS", "1", "key", "10").hasPrefix("-NOPERM"))
        }
    }

    @Test("a block written in place is visible when it is committed, and not before")
    func reserve() async throws {
        try await TestNode.with({ configuration, _ in configuration.sharesWrites = true }) { node in
            let client = try node.connectLocally()
            let space = try client.describeEmpty()
            let mapping = try attach(client, writable: true)
            let value = SeededRandomBytes.make(300_000)
            let places = numbers(
                try client.ask("KV.RESERVE", space, "TOKENS", "16", "BLOCKS", "2", "a", "300000", "b", "5")
            )
            try #require(places.count == 4)
            unsafe mapping.part(places[1], value.count).copyBytes(from: value)
            #expect(try client.ask("KV.GET", space, "KEYS", "1", "a") == "*1\r\n$-1\r\n")
            let checksum = Int(
                bitPattern: UInt(unsafe value.withUnsafeBytes { unsafe PayloadChecksum.of($0) })
            )
            #expect(
                try client.ask("KV.COMMIT", "\(places[0])", "\(checksum)", "77", "0")
                    .hasPrefix("*2\r\n+stored\r\n+refused")
            )
            try client.request("KV.GET", space, "KEYS", "1", "a")
            #expect(try client.receive(like: "*1\r\n$300000\r\n") == "*1\r\n$300000\r\n")
            #expect(try client.receive(value.count) == value)
            #expect(try client.receive(like: "\r\n") == "\r\n")
            #expect(try client.ask("KV.RESERVE", space, "BLOCKS", "1", "a", "300000") == "*1\r\n+exists\r\n")
            #expect(try client.ask("KV.ABORT", "\(places[2])", "\(places[2])") == ":1\r\n")
            #expect(try client.ask("KV.COMMIT", "\(places[2])", "0").hasPrefix("*1\r\n+refused"))
            #expect(try client.ask("KV.COMMIT", "\(places[2])").hasPrefix("-ERR"))
            #expect(try client.ask("KV.EXPLAIN", space, "KEYS", "1", "b").contains("neverSeen"))
        }
    }

    @Test("a place with other bytes than its client announces stays invisible and is given back")
    func clobbered() async throws {
        try await TestNode.with({ configuration, _ in configuration.sharesWrites = true }) { node in
            let client = try node.connectLocally()
            let space = try client.describeEmpty()
            let mapping = try attach(client, writable: true)
            let value = SeededRandomBytes.make(300_000)
            let places = numbers(try client.ask("KV.RESERVE", space, "BLOCKS", "1", "a", "300000"))
            try #require(places.count == 2)
            unsafe mapping.part(places[1], value.count).copyBytes(from: value)
            unsafe mapping.part(places[1], value.count)[299_999] ^= 1
            let checksum = Int(
                bitPattern: UInt(unsafe value.withUnsafeBytes { unsafe PayloadChecksum.of($0) })
            )
            #expect(
                try client.ask("KV.COMMIT", "\(places[0])", "\(checksum)").hasPrefix(
                    "*1\r\n+refused invalidArgument"
                )
            )
            #expect(try client.ask("KV.GET", space, "KEYS", "1", "a") == "*1\r\n$-1\r\n")
            #expect(node.figure("memory_reserved_bytes") == 0)
        }
    }

    @Test("all that a client holds is free again when its connection ends")
    func connectionEnds() async throws {
        try await TestNode.with({ configuration, _ in configuration.sharesWrites = true }) { node in
            let other = try node.connectLocally()
            let space = try other.describeEmpty()
            for _ in 0..<5 {
                // The client of the round before has gone; its leases end last.
                let end = ContinuousClock.now + .seconds(5)
                while node.figure("memory_leased_bytes") != 0, ContinuousClock.now < end {
                    try await Task.sleep(for: .milliseconds(2))
                }
                let client = try node.connectLocally()
                try client.request(
                    bytes: ["KV.PUT", space, "BLOCKS", "1", "held"].map { Array($0.utf8) } + [[1, 2, 3]]
                )
                _ = try client.receiveReply()
                #expect(numbers(try client.ask("KV.BORROW", space, "KEYS", "1", "held")).count == 4)
                let reply = try client.ask(
                    "KV.RESERVE",
                    space,
                    "BLOCKS",
                    "2",
                    "big",
                    "\(10 << 20)",
                    "bigger",
                    "\(10 << 20)"
                )
                // A quarter of 64 MiB may be reserved.
                #expect(numbers(reply).count == 2 && reply.contains("refused overloaded"))
                #expect(node.figure("memory_leased_bytes") > 0)
            }
            let end = ContinuousClock.now + .seconds(5)
            while node.figure("memory_leased_bytes") != 0, ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(node.figure("memory_leased_bytes") == 0)
            #expect(
                numbers(try other.ask("KV.RESERVE", space, "BLOCKS", "1", "big", "\(10 << 20)")).count == 2
            )
        }
    }

    @Test("a client that goes while its blocks come up from disk holds nothing")
    func goneWhileLoading() async throws {
        try await TestNode.with({ configuration, directory in
            configuration.dataDirectory = directory
            configuration.diskByteCount = 1 << 30
            configuration.memoryByteCount = 32 << 20
        }) { node in
            let client = try node.connectLocally()
            let space = try client.describeEmpty()
            for number in 0..<96 {
                try client.request(
                    bytes: ["KV.PUT", space, "DURABLE", "BLOCKS", "1", "k\(number)"].map { Array($0.utf8) }
                        + [[UInt8](repeating: UInt8(number), count: 1 << 20)]
                )
                #expect(try client.receiveReply() == "*1\r\n+stored\r\n")
            }
            for round in 0..<24 {
                let goer = try node.connectLocally()
                let keys = (0..<4).map { "k\((round * 4 + $0) % 96)" }
                try goer.request(bytes: (["KV.BORROW", space, "KEYS", "4"] + keys).map { Array($0.utf8) })
            }
            let end = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < end,
                node.figure("leases") + node.figure("memory_leased_bytes") + node.figure("load_queue_blocks")
                    > 0
            {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await Task.sleep(for: .milliseconds(200))
            #expect(node.figure("leases") == 0)
            #expect(node.figure("memory_leased_bytes") == 0)
            #expect(node.figure("hits_disk") > 0)
        }
    }

    @Test("who may only read is not given the memory to write")
    func readingUser() async throws {
        let password = try UserFile.hash(password: "pw")
        let file = try UserFile(parsing: "a:one:read:\(password)")
        try await TestNode.with({ configuration, _ in
            configuration.users = file
            configuration.sharesWrites = true
        }) { node in
            let client = try node.connectLocally()
            #expect(try client.ask("AUTH", "a", "pw") == "+OK\r\n")
            #expect(try client.ask("KV.ATTACH", "WRITE").hasPrefix("-NOPERM"))
            try client.request("KV.ATTACH")
            close(try client.receiveDescriptor())
        }
    }

    @Test("TCP connections and nodes of several tenants get no shared memory")
    func refusals() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let space = try client.describeEmpty()
            #expect(try client.ask("KV.ATTACH").hasPrefix("-ERR KV.ATTACH works on a Unix socket only"))
            #expect(try client.ask("KV.BORROW", space, "KEYS", "1", "key").hasPrefix("-ERR"))
            let local = try node.connectLocally()
            #expect(try local.ask("KV.ATTACH", "EVERYTHING").hasPrefix("-ERR syntax error"))
            #expect(try local.ask("KV.RESERVE", space, "BLOCKS", "1", "key").hasPrefix("-ERR"))
        }
        let password = try UserFile.hash(password: "pw")
        let file = try UserFile(parsing: "a:one:read,write:\(password)\nb:two:read,write:\(password)")
        try await TestNode.with({ configuration, _ in configuration.users = file }) { node in
            let client = try node.connectLocally()
            #expect(try client.ask("AUTH", "a", "pw") == "+OK\r\n")
            #expect(try client.ask("KV.ATTACH").hasPrefix("-NOPERM"))
        }
    }
}
