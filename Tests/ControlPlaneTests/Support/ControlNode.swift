import Blocks
import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import MemoryTier
import SwiftProtobuf
import TestSupport
import Tiering

@testable import Node

/// A small node in this process with a control plane on a free port.
final class ControlNode: Sendable {
    let node: Node
    let addresses: BoundAddresses
    let directory: TemporaryDirectory

    init(_ change: (inout NodeConfiguration, _ directory: String) -> Void) async throws {
        directory = try TemporaryDirectory()
        var configuration = NodeConfiguration()
        configuration.port = 0
        configuration.controlPort = 0
        configuration.memoryByteCount = 64 << 20
        configuration.memoryBlockCountMax = 50_000
        configuration.threadCount = 2
        configuration.prefaults = false
        configuration.connectionDrainTimeout = .milliseconds(500)
        change(&configuration, directory.path)
        node = try Node(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        addresses = try await node.start()
    }

    /// The node's store, while it runs.
    var store: BlockStore {
        get throws {
            guard let store = node.store else { throw TestError("the node has stopped") }
            return store
        }
    }

    /// Runs `body` against a node and a client of it, and stops the node whatever happens.
    static func with(
        _ change: (inout NodeConfiguration, _ directory: String) -> Void = { _, _ in },
        user: String? = nil,
        _ body: (ControlNode, ControlClient) async throws -> Void
    ) async throws {
        let node = try await ControlNode(change)
        do {
            try await node.withClient(user: user) { try await body(node, $0) }
            await node.node.drainAndStop()
        } catch {
            await node.node.drainAndStop()
            throw error
        }
    }

    /// Runs `body` with a client; `user` is `name:password`.
    func withClient(
        user: String? = nil,
        security: HTTP2ClientTransport.Posix.TransportSecurity = .plaintext,
        _ body: (ControlClient) async throws -> Void
    ) async throws {
        let transport = try HTTP2ClientTransport.Posix(
            target: .ipv4(address: "127.0.0.1", port: addresses.controlPort ?? 0),
            transportSecurity: security,
            // A small window, so that a client that does not read holds up its node soon.
            config: .defaults { $0.http2.targetWindowSize = 65_535 }
        )
        try await withGRPCClient(transport: transport) { client in
            try await body(ControlClient(wrapping: client, user: user))
        }
    }
}

/// The generated clients of all services, on one connection.
struct ControlClient: Sendable {
    let control: Larder_V1_Control.Client<HTTP2ClientTransport.Posix>
    let blocks: Larder_V1_Blocks.Client<HTTP2ClientTransport.Posix>
    let events: Larder_V1_Events.Client<HTTP2ClientTransport.Posix>
    let health: Grpc_Health_V1_Health.Client<HTTP2ClientTransport.Posix>
    /// Who asks.
    let metadata: Metadata

    init(wrapping client: GRPCClient<HTTP2ClientTransport.Posix>, user: String?) {
        control = .init(wrapping: client)
        blocks = .init(wrapping: client)
        events = .init(wrapping: client)
        health = .init(wrapping: client)
        metadata = user.map { ["authorization": "Basic \(Data($0.utf8).base64EncodedString())"] } ?? [:]
    }

    /// A namespace of 16 tokens a block; its identifier.
    func describe(_ model: String = "tiny") async throws -> String {
        try await control.describeNamespace(
            .with { $0.json = #"{"model":"\#(model)","dtype":"bfloat16","tokens_per_block":16}"# },
            metadata: metadata
        )
        .namespace.id
    }

    /// Puts a block in pieces.
    @discardableResult
    func put(
        _ ns: String,
        _ key: [UInt8],
        _ payload: [UInt8],
        pieceByteCount: Int = 1 << 20,
        _ change: @escaping @Sendable (inout Larder_V1_PutHeader) -> Void = { _ in }
    ) async throws -> Larder_V1_PutResponse.Outcome {
        try await blocks.put(metadata: metadata) { writer in
            var header = Larder_V1_PutHeader.with {
                $0.namespaceID = ns
                $0.key = Data(key)
                $0.payloadBytes = UInt64(payload.count)
                $0.checksum = checksum(of: payload)
            }
            change(&header)
            try await writer.write(.with { [header] in $0.header = header })
            for first in stride(from: 0, to: payload.count, by: pieceByteCount) {
                let piece = Data(payload[first..<min(first + pieceByteCount, payload.count)])
                try await writer.write(.with { $0.piece = piece })
            }
        }
        .outcome
    }

    /// Reads a block: its header and the sizes of its pieces beside its bytes.
    func get(_ ns: String, _ key: [UInt8]) async throws -> (
        header: Larder_V1_GetHeader, payload: [UInt8], pieces: [Int]
    ) {
        let request = Larder_V1_GetRequest.with {
            $0.namespaceID = ns
            $0.key = Data(key)
        }
        return try await blocks.get(request, metadata: metadata) { response in
            var header: Larder_V1_GetHeader?
            var payload: [UInt8] = []
            var pieces: [Int] = []
            for try await message in response.messages {
                switch message.part {
                case .header(let first): header = first
                case .piece(let piece):
                    payload += piece
                    pieces.append(piece.count)
                case nil: break
                }
            }
            guard let header else { throw TestError("no header") }
            return (header, payload, pieces)
        }
    }

    /// Why a key is here or not.
    func explain(_ ns: String, _ key: [UInt8]) async throws -> Larder_V1_Explanation.Reason {
        let response = try await control.explain(
            .with {
                $0.namespaceID = ns
                $0.keys = keys(key)
            },
            metadata: metadata
        )
        return response.explanation.first?.reason ?? .unspecified
    }
}

struct TestError: Error {
    let text: String

    init(_ text: String) {
        self.text = text
    }
}

/// Keys as a message.
func keys(_ keys: [UInt8]...) -> Larder_V1_Keys {
    .with { $0.key = keys.map { Data($0) } }
}

func checksum(of bytes: [UInt8]) -> UInt64 {
    // SAFETY: the bytes are read during the call only.
    unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
}

/// The status that a call ends with.
func status(_ body: () async throws -> Void) async throws -> RPCError.Code? {
    do {
        try await body()
        return nil
    } catch let error as RPCError {
        return error.code
    }
}

/// Waits until something is true, however long that takes.
func eventually(_ isTrue: () async throws -> Bool) async throws {
    while try await !isTrue() { try await Task.sleep(for: .milliseconds(5)) }
}
