internal import Blocks
internal import EtcdAPI
internal import Foundation
internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import SwiftProtobuf
internal import Synchronization

/// One connection to one etcd server. Every call has a deadline; a token that has run out is renewed.
final class EtcdConnection: Sendable {
    /// All records under a prefix, at one revision.
    struct Snapshot: Sendable {
        var records: [EtcdDirectory.Record] = []
        var revision: Int64 = 0
        var cluster: UInt64 = 0
    }

    private typealias Transport = HTTP2ClientTransport.Posix

    private let client: GRPCClient<Transport>
    private let running: Task<Void, Never>
    private let user: EtcdUser?
    private let timeout: Duration
    private let token = Mutex<String?>(nil)

    /// Records of one answer; fewer when they are too large together.
    private static let pageCountMax: Int64 = 256
    /// Largest answer, bytes: etcd's largest request is 1.5 MiB.
    private static let messageByteCountMax = 16 << 20

    /// Begins to connect; throws `.invalidArgument` when files for TLS are not what they should be.
    init(_ endpoint: EtcdEndpoint, _ configuration: EtcdConfiguration) throws(CacheError) {
        user = configuration.user
        timeout = configuration.callTimeout
        do {
            let client = GRPCClient(
                transport: try Transport(
                    target: Self.target(endpoint),
                    transportSecurity: Self.security(configuration.tls)
                )
            )
            self.client = client
            // Not awaited by anybody: it ends soon after its cancellation, but a connection that is being made cannot
            // be cancelled and ends after the 10 s that NIO gives it.
            running = Task { try? await client.runConnections() }
        } catch {
            throw CacheError(.invalidArgument, "TLS to etcd: \(EtcdError.text(of: error))")
        }
    }

    /// Ends the connection and all calls on it.
    func close() { running.cancel() }

    /// Gets a token, when there is a user; `false` when etcd asks nobody who he is.
    @discardableResult
    func login() async throws -> Bool {
        guard let user else { return true }
        let request = Etcdserverpb_AuthenticateRequest.with {
            $0.name = user.name
            $0.password = user.password
        }
        do {
            let answer = try await Etcdserverpb_Auth.Client(wrapping: client).authenticate(
                request,
                options: options
            )
            token.withLock { $0 = answer.token }
            return true
        } catch let error as RPCError where error.code == .failedPrecondition {
            token.withLock { $0 = nil }
            return false
        }
    }

    /// All records in ranges of keys, at most `countMax` of each.
    func snapshot(_ ranges: [EtcdKeyRange], countMax: Int) async throws -> Snapshot {
        var snapshot = Snapshot()
        for range in ranges {
            try await add(range, countMax: snapshot.records.count + countMax, to: &snapshot)
        }
        return snapshot
    }

    private func add(_ range: EtcdKeyRange, countMax: Int, to snapshot: inout Snapshot) async throws {
        var request = Etcdserverpb_RangeRequest.with {
            $0.key = Data(range.first)
            $0.rangeEnd = Data(range.end)
            $0.limit = Self.pageCountMax
            $0.revision = snapshot.revision
        }
        while true {
            let answer: Etcdserverpb_RangeResponse
            do {
                let page = request
                answer = try await call { try await self.keys.range(page, metadata: $0, options: $1) }
            } catch let error as RPCError where error.code == .resourceExhausted && request.limit > 1 {
                request.limit /= 4
                continue
            }
            if request.revision == 0 {
                snapshot.revision = answer.header.revision
                snapshot.cluster = answer.header.clusterID
                request.revision = answer.header.revision
            }
            snapshot.records += answer.kvs.map(EtcdDirectory.Record.init)
            guard answer.more, snapshot.records.count < countMax, let last = answer.kvs.last else { return }
            request.key = last.key + [0]
        }
    }

    /// Puts a key if it has this revision, 0 for a key that is not there; the new revision, `nil` when it has another.
    func put(_ key: [UInt8], _ value: [UInt8], lease: Int64 = 0, ifRevisionIs revision: Int64) async throws
        -> Int64?
    {
        let request = Etcdserverpb_TxnRequest.with { transaction in
            transaction.compare = [
                .with {
                    $0.key = Data(key)
                    $0.target = .mod
                    $0.result = .equal
                    $0.modRevision = revision
                }
            ]
            transaction.success = [
                .with {
                    $0.requestPut.key = Data(key)
                    $0.requestPut.value = Data(value)
                    $0.requestPut.lease = lease
                }
            ]
        }
        let answer = try await call { try await self.keys.txn(request, metadata: $0, options: $1) }
        return answer.succeeded ? answer.header.revision : nil
    }

    /// The record of one key.
    func record(_ key: [UInt8]) async throws -> EtcdDirectory.Record? {
        let request = Etcdserverpb_RangeRequest.with { $0.key = Data(key) }
        let answer = try await call { try await self.keys.range(request, metadata: $0, options: $1) }
        return answer.kvs.first.map(EtcdDirectory.Record.init)
    }

    /// Gets a lease that ends when it is not kept for `seconds`.
    func grant(seconds: Int64) async throws -> Int64 {
        let request = Etcdserverpb_LeaseGrantRequest.with { $0.ttl = seconds }
        return try await call { try await self.leases.leaseGrant(request, metadata: $0, options: $1) }.id
    }

    /// Ends a lease and all keys that are bound to it; one that has ended is fine.
    func revoke(_ lease: Int64) async throws {
        let request = Etcdserverpb_LeaseRevokeRequest.with { $0.id = lease }
        do {
            _ = try await call { try await self.leases.leaseRevoke(request, metadata: $0, options: $1) }
        } catch let error as RPCError where error.code == .notFound {}
    }

    /// Keeps a lease; `false` when there is no such lease any more. Proves that etcd has a leader, too.
    func keep(_ lease: Int64) async throws -> Bool {
        try await call { metadata, options in
            try await self.leases.leaseKeepAlive(metadata: metadata, options: options) { writer in
                try await writer.write(.with { $0.id = lease })
            } onResponse: { response in
                for try await answer in response.messages { return answer.ttl > 0 }
                throw RPCError(code: .unavailable, message: "etcd closed the stream")
            }
        }
    }

    /// Tells `body` all changes in a range of keys from a revision on, until the watch breaks or the task is cancelled.
    func watch(
        _ range: EtcdKeyRange,
        from revision: Int64,
        _ body: @escaping @Sendable ([EtcdDirectory.Event]) -> Void
    ) async throws {
        let request = Etcdserverpb_WatchRequest.with {
            $0.createRequest.key = Data(range.first)
            $0.createRequest.rangeEnd = Data(range.end)
            $0.createRequest.startRevision = revision
        }
        var options = options
        options.timeout = nil
        try await Etcdserverpb_Watch.Client(wrapping: client).watch(metadata: metadata, options: options) {
            writer in
            try await writer.write(request)
            // The stream is open as long as this runs.
            try await Task.sleep(for: .seconds(1 << 30))
        } onResponse: { response in
            for try await answer in response.messages {
                if answer.canceled {
                    let isCompacted = answer.compactRevision > 0
                    throw RPCError(
                        code: .aborted,
                        message: isCompacted
                            ? "etcd has compacted its history" : "watch: \(answer.cancelReason.prefix(200))"
                    )
                }
                body(answer.events.map(EtcdDirectory.Event.init))
            }
            throw RPCError(code: .unavailable, message: "etcd closed the watch")
        }
    }

    private var keys: Etcdserverpb_KV.Client<Transport> { Etcdserverpb_KV.Client(wrapping: client) }
    private var leases: Etcdserverpb_Lease.Client<Transport> { Etcdserverpb_Lease.Client(wrapping: client) }

    private var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = timeout
        options.waitForReady = false
        // The transport takes the one for requests as the limit of answers.
        options.maxRequestMessageBytes = Self.messageByteCountMax
        options.maxResponseMessageBytes = Self.messageByteCountMax
        return options
    }

    private var metadata: Metadata {
        // A server that has lost the others of its cluster ends its streams instead of being silent.
        var metadata: Metadata = ["hasleader": "true"]
        if let token = token.withLock({ $0 }) { metadata.replaceOrAddString(token, forKey: "token") }
        return metadata
    }

    private func call<Answer: Sendable>(_ body: (Metadata, CallOptions) async throws -> Answer) async throws
        -> Answer
    {
        do {
            return try await body(metadata, options)
        } catch let error as RPCError where user != nil && EtcdError.isTokenEnd(error) {
            try await login()
            return try await body(metadata, options)
        }
    }

    private static func target(_ endpoint: EtcdEndpoint) -> any ResolvableTarget {
        // Names are proved against certificates as names, addresses as addresses.
        if endpoint.isIPv4 { return .ipv4(address: endpoint.host, port: endpoint.port) }
        if endpoint.isIPv6 { return .ipv6(address: endpoint.host, port: endpoint.port) }
        return .dns(host: endpoint.host, port: endpoint.port)
    }

    private static func security(_ files: EtcdTLSFiles?) -> Transport.TransportSecurity {
        guard let files else { return .plaintext }
        return .tls { tls in
            if let path = files.authorities {
                tls.trustRoots = .certificates([.file(path: path, format: .pem)])
            }
            if let path = files.certificate { tls.certificateChain = [.file(path: path, format: .pem)] }
            if let path = files.key { tls.privateKey = .file(path: path, format: .pem) }
        }
    }
}

extension EtcdDirectory.Record {
    fileprivate init(_ pair: Mvccpb_KeyValue) {
        // What is too long for any record is none, and need not be kept until that is known.
        let value = pair.value.count <= Limits.descriptionByteCountMax ? Array(pair.value) : []
        self.init(key: Array(pair.key), value: value, lease: pair.lease, revision: pair.modRevision)
    }
}

extension EtcdDirectory.Event {
    fileprivate init(_ event: Mvccpb_Event) {
        self =
            event.type == .delete
            ? .deleted(key: Array(event.kv.key), revision: event.kv.modRevision)
            : .put(EtcdDirectory.Record(event.kv))
    }
}
