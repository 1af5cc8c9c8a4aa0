import Blocks
import LarderClient
import TestSupport

/// What the client's tests share: a client that waits long for an answer that comes, keys, memory of the test's own.
final class ClientUnderTest: Sendable {
    let client: LarderClient
    let namespace: NamespaceID

    init(
        _ endpoint: LarderEndpoint,
        connectionCount: Int = 4,
        lookup: Duration = .seconds(20),
        load: Duration = .seconds(20),
        store: Duration = .seconds(20),
        _ change: (inout LarderClientConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = LarderClientConfiguration(endpoint: endpoint)
        configuration.connectionCount = connectionCount
        configuration.lookupTimeout = lookup
        configuration.loadTimeout = load
        configuration.storeTimeout = store
        change(&configuration)
        client = LarderClient(configuration)
        namespace = client.describe(
            try NamespaceDescription(json: Array(#"{"model":"m","dtype":"bfloat16"}"#.utf8))
        )
    }

    convenience init(port: UInt16, connectionCount: Int = 4) throws {
        try self.init(.tcp(host: "127.0.0.1", port: port), connectionCount: connectionCount)
    }

    /// A client of a node that is expected to fail it: it waits little.
    convenience init(impatientAt endpoint: LarderEndpoint) throws {
        try self.init(
            endpoint,
            lookup: .milliseconds(200),
            load: .milliseconds(300),
            store: .milliseconds(300)
        )
    }

    convenience init(impatientAt port: UInt16) throws {
        try self.init(impatientAt: .tcp(host: "127.0.0.1", port: port))
    }

    static func keys(_ count: Int) throws -> KeyBatch {
        KeyBatch(try (0..<count).map { try BlockKey(Array("key-\($0)".utf8)) })
    }
}

/// Memory that stays where it is, filled with one byte.
@safe final class Region: Sendable {
    nonisolated(unsafe) let buffer: UnsafeMutableRawBufferPointer

    init(_ byteCount: Int, filling byte: UInt8 = 0xee) {
        unsafe buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        fill(byte)
    }

    deinit { unsafe buffer.deallocate() }

    var bytes: [UInt8] { unsafe Array(buffer) }

    func fill(_ byte: UInt8) {
        unsafe buffer.initializeMemory(as: UInt8.self, repeating: byte)
    }
}

/// The script of a fake node that answers greetings by itself, and everything else by `answer`, until it says `false`.
func serving(
    _ answer: @escaping @Sendable ([String], FakeConnection) -> Bool
) -> @Sendable (FakeConnection) -> Void {
    { connection in
        while let request = connection.readRequest() {
            let words = request.map { String(decoding: $0, as: UTF8.self) }
            switch words[0] {
            case "HELLO": connection.send("%1\r\n+proto\r\n:3\r\n")
            case "KV.DESCRIBE": connection.send("+described\r\n")
            case "PING": connection.send("+PONG\r\n")
            case "KV.ATTACH": connection.send("-ERR unknown command\r\n")
            default: guard answer(words, connection) else { return }
            }
        }
    }
}
