import Blocks
import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import MemoryTier
import SwiftProtobuf
import Testing
import Tiering

@testable import Node

/// A subscription's messages, one after the other.
private struct EventReader {
    var messages: RPCAsyncSequence<Larder_V1_Event, any Error>.AsyncIterator

    init(_ response: StreamingClientResponse<Larder_V1_Event>) {
        messages = response.messages.makeAsyncIterator()
    }

    mutating func next() async throws -> Larder_V1_Event {
        guard let event = try await messages.next(isolation: #isolation) else {
            throw TestError("the events ended")
        }
        return event
    }

    /// Reads until something was told of all these keys; returns the messages.
    mutating func stored(_ keys: Set<[UInt8]>) async throws -> [Larder_V1_Event] {
        var missing = keys
        var read: [Larder_V1_Event] = []
        while !missing.isEmpty {
            let event = try await next()
            read.append(event)
            for hash in event.stored.hash { missing.remove(Array(hash)) }
        }
        return read
    }
}

@Suite("Events over gRPC")
struct ControlEventsTests {
    private func subscribe(
        _ client: ControlClient,
        _ request: Larder_V1_SubscribeRequest = .init(),
        _ body: @escaping @Sendable (inout EventReader) async throws -> Void
    ) async throws -> RPCError.Code? {
        try await status {
            try await client.events.subscribe(request, metadata: client.metadata) { response in
                var reader = EventReader(response)
                try await body(&reader)
            }
        }
    }

    @Test("blocks are told when they come and go, numbered, with what precedes them")
    func comeAndGo() async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let result = try await subscribe(client) { reader in
                let ready = try await reader.next()
                guard case .ready? = ready.change else { throw TestError("not ready first") }
                try await client.put(ns, [1], [1])
                try await client.put(ns, [2], [2]) {
                    $0.parentKey = Data([1])
                    $0.tokens = 16
                }
                let told = try await reader.stored([[1], [2]])
                #expect(told.map(\.sequence) == Array(1...UInt64(told.count)))
                #expect(told.allSatisfy { $0.run == ready.run && $0.namespaceID == ns })
                #expect(told.allSatisfy { $0.stored.tier == .memory })
                let last = try #require(told.last)
                #expect(last.stored.hash.count == 2 || last.stored.parentHash == Data([1]))
                _ = try await client.control.evict(
                    .with {
                        $0.namespaceID = ns
                        $0.keys = keys([1])
                    }
                )
                #expect(try await reader.next().removed.hash == [Data([1])])
            }
            #expect(result == nil)
        }
    }

    @Test("a snapshot tells what is held, then what comes; a namespace that is not named is left out")
    func snapshot() async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let other = try await client.describe("other")
            for key in 0..<20 { try await client.put(ns, [UInt8(key)], [1]) }
            try await client.put(other, [99], [1])
            // Told before: the snapshot is of what has been told.
            _ = try await subscribe(
                client,
                .with { $0.position = .with { $0.sequence = 1 } }
            ) { _ in }
            let request = Larder_V1_SubscribeRequest.with {
                $0.namespaceID = [ns]
                $0.snapshot = .init()
            }
            let result = try await subscribe(client, request) { reader in
                var held: Set<[UInt8]> = []
                while true {
                    let event = try await reader.next()
                    #expect(event.namespaceID != other)
                    for hash in event.stored.hash { held.insert(Array(hash)) }
                    if held.count == 20 { break }
                }
                #expect(held == Set((0..<20).map { [UInt8($0)] }))
                try await client.put(ns, [50], [1])
                try await client.put(other, [51], [1])
                try await client.put(ns, [52], [1])
                let told = try await reader.stored([[50], [52]])
                #expect(told.allSatisfy { $0.namespaceID != other })
            }
            #expect(result == nil)
        }
    }

    @Test("events are repeated from a number on; not from another run, nor from numbers that never were")
    func replay() async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let first = AsyncStream.makeStream(of: (run: UInt64, hashes: [Data]).self)
            _ = try await subscribe(client) { reader in
                let run = try await reader.next().run
                for key in 0..<10 { try await client.put(ns, [UInt8(key)], [1]) }
                let told = try await reader.stored(Set((0..<10).map { [UInt8($0)] }))
                first.continuation.yield((run, told.flatMap(\.stored.hash)))
                first.continuation.finish()
            }
            var told: (run: UInt64, hashes: [Data]) = (0, [])
            for await value in first.stream { told = value }
            let (run, hashes) = told
            #expect(hashes.count == 10)
            let again = try await subscribe(client, Self.from(1, run: run)) { reader in
                _ = try await reader.next()
                let repeated = try await reader.stored(Set((0..<10).map { [UInt8($0)] }))
                #expect(repeated.flatMap(\.stored.hash) == hashes)
            }
            #expect(again == nil)
            #expect(try await end(client, Self.from(1, run: run ^ 1)) == .dataLoss)
            #expect(try await end(client, Self.from(0, run: run)) == .invalidArgument)
            #expect(try await end(client, Self.from(1_000, run: run)) == .invalidArgument)
            let unknown = Larder_V1_SubscribeRequest.with {
                $0.namespaceID = [String(repeating: "0", count: 64)]
            }
            #expect(try await end(client, unknown) == .notFound)
        }
    }

    @Test("a subscriber that falls behind is told so, and nothing is kept for it")
    func slow() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.replayByteCountMax = 64 << 10
        } _: { node, client in
            let ns = try await client.describe()
            let result = try await subscribe(client) { reader in
                _ = try await reader.next()
                // More than sockets and buffers hold; put behind the listeners, which would take longer.
                try Self.putMany(30_000, ns, in: node)
                try await node.withClient { other in
                    // The second snapshot is of a time when everything put before has been told.
                    for _ in 0..<2 {
                        _ = try await subscribe(other, .with { $0.snapshot = .init() }) { reader in
                            while true {
                                if case .ready? = try await reader.next().change { break }
                            }
                        }
                    }
                }
                while true { _ = try await reader.next() }
            }
            #expect(result == .dataLoss)
        }
    }

    @Test("subscribers for ZeroMQ and gRPC are told of the same blocks at the same time")
    func both() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.events = EventConfiguration(port: 0, podID: "pod")
        } _: { node, client in
            let ns = try await client.describe()
            let result = try await subscribe(client) { reader in
                _ = try await reader.next()
                try await client.put(ns, [1], [1])
                _ = try await reader.stored([[1]])
            }
            #expect(result == nil)
            try await eventually {
                node.node.services?.events?.counters.blocksStored.value == 1
            }
        }
    }

    @Test("one subscriber too many is refused")
    func count() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.subscriberCountMax = 1
        } _: { _, client in
            let result = try await subscribe(client) { reader in
                _ = try await reader.next()
                #expect(try await end(client, .init()) == .resourceExhausted)
            }
            #expect(result == nil)
        }
    }

    @Test("subscriptions end with UNAVAILABLE when the node stops")
    func stop() async throws {
        try await ControlNode.with { node, client in
            let result = try await subscribe(client) { reader in
                _ = try await reader.next()
                async let stopped: Void = node.node.drainAndStop()
                while true {
                    do { _ = try await reader.next() } catch {
                        await stopped
                        throw error
                    }
                }
            }
            #expect(result == .unavailable)
        }
    }

    private static func from(_ sequence: UInt64, run: UInt64) -> Larder_V1_SubscribeRequest {
        .with {
            $0.position = .with {
                $0.run = run
                $0.sequence = sequence
            }
        }
    }

    /// How a subscription ends that is read to its end.
    private func end(_ client: ControlClient, _ request: Larder_V1_SubscribeRequest) async throws -> RPCError
        .Code?
    {
        try await subscribe(client, request) { reader in
            while true { _ = try await reader.next() }
        }
    }

    private static func putMany(_ count: Int, _ ns: String, in node: ControlNode) throws {
        let store = try node.store
        guard let namespace = NamespaceID(hexadecimal: Array(ns.utf8)),
            let space = store.space(tenant: .default, namespace: namespace)
        else { throw TestError("no namespace") }
        for index in 0..<count {
            let name = String(index)
            let key = Array(repeating: UInt8(7), count: 480 - name.utf8.count) + Array(name.utf8)
            let keys = KeyBatch([try BlockKey(key)])
            let reservation = try store.reserve(space, key: keys[0], payloadByteCount: 1)
            unsafe reservation.payload[0] = 1
            _ = store.commit(reservation, in: space, PutOptions())
        }
    }
}
