import Blocks
import Logging
import MemoryTier
import NIOCore
import NIOEmbedded
import Testing
import Tiering

@testable import Node

/// A connection's other side without a socket: records what was sent, and how far reading went.
private final class FakeTransport: ConnectionTransport {
    let eventLoop: any EventLoop = EmbeddedEventLoop()
    var isWritable = true
    var sent = ByteBuffer()
    var leasedByteCounts: [Int] = []
    var flushCount = 0
    var isClosed = false

    func send(_ bytes: ByteBuffer) { sent.writeImmutableBuffer(bytes) }

    func send(_ lease: BlockLease, _ range: Range<Int>) {
        leasedByteCounts.append(range.count)
        unsafe sent.writeBytes(UnsafeRawBufferPointer(rebasing: lease.payload[range]))
    }

    var isUnixSocket: Bool { false }

    func send(_ bytes: ByteBuffer, passing descriptor: CInt, _ completion: @escaping (Bool) -> Void) {
        completion(false)
    }

    func flush() { flushCount += 1 }
    func resumeReading() {}
    func close() { isClosed = true }
    func recycle(_ buffer: ByteBuffer) {}

    func takeSent() -> String {
        defer { sent.clear() }
        return String(buffer: sent)
    }
}

@Suite("A connection, without a socket")
struct RedisConnectionTests {
    private func make(
        _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) throws -> (RedisConnection, FakeTransport, NodeServices) {
        var configuration = NodeConfiguration()
        change(&configuration)
        let store = try BlockStore(
            memory: MemoryTierConfiguration(byteCount: 32 << 20, blockCountMax: 1000, prefaults: false),
            disk: nil,
            secret: .random(),
            directory: nil
        )
        let services = NodeServices(
            store: store,
            configuration: configuration,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let record = services.connections.add(address: "a", localAddress: "b", now: 0)
        let connection = RedisConnection(
            services: services,
            record: record,
            recorder: services.latencies.recorder()
        )
        let transport = FakeTransport()
        connection.began(transport)
        return (connection, transport, services)
    }

    private func sinkByteCount(_ connection: RedisConnection) -> Int {
        unsafe connection.sink.count
    }

    private func fillSink(_ connection: RedisConnection, with letter: UInt8) {
        unsafe _ = connection.sink.initializeMemory(as: UInt8.self, repeating: letter)
    }

    @Test("answers pipelined requests in order, with one flush for what arrived together")
    func pipelining() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        connection.received(ByteBuffer(string: "PING\r\nSET a b\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nGE"))
        #expect(transport.takeSent() == "+PONG\r\n+OK\r\n$1\r\nb\r\n")
        #expect(transport.flushCount == 1)
        #expect(connection.wantsInput)
        #expect(connection.progress.isReceiving)
        connection.received(ByteBuffer(string: "T a\r\n"))
        #expect(transport.takeSent() == "$1\r\nb\r\n")
        #expect(!connection.progress.isReceiving)
    }

    @Test("asks for a place as soon as a payload is announced, and takes bytes into it in place")
    func sink() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        connection.received(ByteBuffer(string: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\nabc"))
        #expect(sinkByteCount(connection) == 20_000 - 3)
        #expect(services.store.statistics().integer("memory_reserved_bytes") >= 20_000)
        fillSink(connection, with: UInt8(ascii: "x"))
        connection.receivedInPlace(10_000)
        #expect(sinkByteCount(connection) == 9_997)
        connection.receivedInPlace(9_997)
        #expect(sinkByteCount(connection) == 0)
        connection.received(ByteBuffer(string: "\r\nSTRLEN k\r\nGETRANGE k 0 3\r\n"))
        #expect(transport.takeSent() == "+OK\r\n:20000\r\n$4\r\nabcx\r\n")
        connection.received(ByteBuffer(string: "GET k\r\n"))
        #expect(transport.leasedByteCounts == [20_000], "sent under a lease, not copied")
    }

    @Test("takes nothing when a payload ends without its line end")
    func unterminated() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        let payload = String(repeating: "x", count: 20_000)
        connection.received(ByteBuffer(string: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n\(payload)xx"))
        #expect(transport.takeSent() == "-ERR Protocol error: expected CRLF after a bulk string\r\n")
        #expect(transport.isClosed)
        connection.ended()
        #expect(services.store.statistics().integer("memory_reserved_bytes") == 0)
        #expect(services.store.statistics().integer("memory_blocks") == 0)
    }

    @Test("begins no request while its replies are not taken, and goes on when they are")
    func unwritable() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        transport.isWritable = false
        connection.received(ByteBuffer(string: "PING\r\nPING\r\n"))
        #expect(transport.takeSent() == "")
        #expect(!connection.wantsInput)
        transport.isWritable = true
        connection.proceed()
        #expect(transport.takeSent() == "+PONG\r\n+PONG\r\n")
        #expect(connection.wantsInput)
    }

    @Test("is cut when it sends more than the input limit behind a request that waits")
    func inputLimit() throws {
        let (connection, transport, services) = try make { $0.limits.inputByteCountMax = 100 }
        defer { services.store.close() }
        transport.isWritable = false
        connection.received(ByteBuffer(string: String(repeating: "PING\r\n", count: 20)))
        #expect(transport.isClosed)
        #expect(services.counters.inputOverflows.value == 1)
    }

    @Test("mutes replies as CLIENT REPLY says")
    func muted() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        connection.received(ByteBuffer(string: "CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\n"))
        #expect(transport.takeSent() == "$1\r\na\r\n")
        connection.received(
            ByteBuffer(string: "ECHO a\r\nCLIENT REPLY OFF\r\nPING\r\nNOSUCH\r\nCLIENT REPLY ON\r\nPING\r\n")
        )
        #expect(transport.takeSent() == "$1\r\na\r\n+OK\r\n+PONG\r\n")
    }

    @Test("draining, it finishes the request under way and closes")
    func draining() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        connection.received(ByteBuffer(string: "*1\r\n$4\r\nPI"))
        connection.drain()
        #expect(!transport.isClosed)
        connection.received(ByteBuffer(string: "NG\r\nPING\r\n"))
        #expect(transport.takeSent() == "+PONG\r\n")
        #expect(transport.isClosed)
    }

    @Test("answers in RESP3 after HELLO 3, and in RESP2 after RESET")
    func versions() throws {
        let (connection, transport, services) = try make()
        defer { services.store.close() }
        connection.received(ByteBuffer(string: "HELLO 3 SETNAME me\r\n"))
        #expect(transport.takeSent().hasPrefix("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n"))
        connection.received(
            ByteBuffer(string: "GET x\r\nCLIENT GETNAME\r\nRESET\r\nGET x\r\nCLIENT GETNAME\r\n")
        )
        #expect(transport.takeSent() == "_\r\n$2\r\nme\r\n+RESET\r\n$-1\r\n$-1\r\n")
    }
}
