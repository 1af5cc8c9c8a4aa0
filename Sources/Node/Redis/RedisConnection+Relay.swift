internal import Blocks
internal import Cluster
internal import MemoryTier
internal import Placement
internal import RESP
internal import Tiering

/// Plain keys that another node keeps: the request goes there, and its reply comes back. Near copies of plain keys are
/// not kept, because they can be replaced.
extension RedisConnection {
    /// Sends a request about plain keys to the nodes that keep them; false when this node keeps all of them.
    func isForOwner(_ command: Command, _ cluster: Cluster) -> Bool {
        switch command {
        case .get, .set, .setex, .psetex, .setnx, .strlen, .getrange, .ttl, .pttl, .expiretime, .pexpiretime,
            .expire, .pexpire, .expireat, .pexpireat, .persist, .type:
            return relayOne(command, key: 1, cluster)
        case .memory:
            return arguments.matches("usage", at: 1) && relayOne(command, key: 2, cluster)
        case .exists, .del, .unlink, .touch:
            return relayCounted(cluster)
        case .mget:
            return relayMany(cluster)
        case .mset:
            return relayPairs(cluster)
        default:
            return false
        }
    }

    private func relayOne(_ command: Command, key index: Int, _ cluster: Cluster) -> Bool {
        guard arguments.isKey(at: index),
            case .there(let node) = cluster.place(ofPlain: arguments.key(at: index))
        else { return false }
        let isRead = CommandTable.find(arguments[0])?.scope == .read
        relay(Array(0..<arguments.count), to: node, cluster) { connection, result in
            switch result {
            case .success(let reply): connection.pass(on: reply)
            case .failure(let error):
                // For a cache a value that cannot be had is a miss; what cannot be kept is an error.
                if isRead, command == .get || command == .getrange {
                    connection.reply.null()
                } else {
                    connection.fail("TRYAGAIN \(error.message)")
                }
            }
        }
        return true
    }

    /// Sends the arguments of `indices` on, values that were received included.
    private func relay(
        _ indices: [Int],
        to node: PeerHandle,
        _ cluster: Cluster,
        _ body: @escaping (RedisConnection, Result<Reply, CacheError>) -> Void
    ) {
        guard let user = session.user else { return }
        var encoder = RequestEncoder()
        cluster.beginRequest(
            &encoder,
            for: user.tenant,
            database: session.database,
            argumentCount: indices.count
        )
        var held: [ReceivedPayload] = []
        for index in indices {
            switch fates.removeValue(forKey: index) {
            case .held(let payload)?:
                // SAFETY: the completion holds the payload until the request is not read any more.
                unsafe encoder.append(payload: UnsafeRawBufferPointer(payload.reservation.payload))
                held.append(payload)
            case .refused(let error)?: return body(self, .failure(error))
            case .discarded?:
                return body(self, .failure(CacheError(.invalidArgument, Self.keyRule)))
            case nil:
                encoder.append(arguments.bytes(at: index))
            }
        }
        let payloads = held.map(\.reservation)
        let completion = later(body)
        cluster.relay(encoder.finish(), to: node, hasPayload: !payloads.isEmpty) { result in
            withExtendedLifetime(payloads) {}
            completion(result)
        }
    }

    /// Another node's reply, as this connection's protocol writes it.
    private func pass(on reply: Reply) {
        switch reply {
        case .status(let text): self.reply.simple(text: text)
        case .failure(let failure): fail(failure.text)
        case .integer(let value): self.reply.integer(Int(clamping: value))
        case .double(let value): self.reply.double(value)
        case .boolean(let value): self.reply.bool(value)
        case .bigNumber(let text): self.reply.bulk(text)
        case .null: self.reply.null()
        case .bulk(let bytes): self.reply.bulk(bytes: bytes)
        case .array(let elements):
            self.reply.array(elements.count)
            for element in elements { pass(on: element) }
        case .map(let elements):
            self.reply.map(elements.count / 2)
            for element in elements { pass(on: element) }
        }
    }

    // MARK: Several keys

    /// EXISTS, DEL, UNLINK and TOUCH: the sum of what all nodes count.
    private func relayCounted(_ cluster: Cluster) -> Bool {
        guard let (parts, own) = parts(of: Array(1..<arguments.count), cluster) else { return false }
        let command = CommandTable.find(arguments[0])?.command
        let space = databaseSpace
        let takesLease = !session.saidHello
        var count = 0
        let keys = arguments.keys(at: own)
        switch command {
        case .exists?:
            for index in 0..<keys.count where store.exists(space, key: keys[index], takesLease: takesLease) {
                count += 1
            }
        case .touch?: count = store.touch(space, keys: keys)
        default: count = store.delete(space, keys: keys)
        }
        relayParts(parts, cluster, counted: count)
        return true
    }

    private func relayParts(_ parts: [(PeerHandle, [Int])], _ cluster: Cluster, counted: Int) {
        guard let (node, indices) = parts.first else { return reply.integer(counted) }
        relay([0] + indices, to: node, cluster) { connection, result in
            guard case .success(let reply) = result else {
                // A read: what cannot be asked for is not there. A deletion: it is not known to be gone.
                if connection.isRead {
                    return connection.relayParts(Array(parts.dropFirst()), cluster, counted: counted)
                }
                return connection.fail("TRYAGAIN node \(node.name) of this cluster does not answer")
            }
            if case .failure = reply { return connection.pass(on: reply) }
            let count = counted + Int(clamping: reply.integer ?? 0)
            connection.relayParts(Array(parts.dropFirst()), cluster, counted: count)
        }
    }

    private var isRead: Bool { CommandTable.find(arguments[0])?.scope == .read }

    /// MGET: each node's values in their places.
    private func relayMany(_ cluster: Cluster) -> Bool {
        guard let (parts, own) = parts(of: Array(1..<arguments.count), cluster) else { return false }
        // One value at a time: what is passed on lies in memory beside the arena.
        gatherMany(parts.flatMap { node, indices in indices.map { (node, [$0]) } }, own, cluster, [:])
        return true
    }

    private func gatherMany(
        _ parts: [(PeerHandle, [Int])],
        _ own: [Int],
        _ cluster: Cluster,
        _ gathered: [Int: Reply]
    ) {
        guard let (node, indices) = parts.first else { return answerMany(own, gathered) }
        relay([0] + indices, to: node, cluster) { connection, result in
            var gathered = gathered
            if case .success(let reply) = result, let elements = reply.elements,
                elements.count == indices.count
            {
                for (index, element) in zip(indices, elements) { gathered[index] = element }
            }
            connection.gatherMany(Array(parts.dropFirst()), own, cluster, gathered)
        }
    }

    private func answerMany(_ own: [Int], _ gathered: [Int: Reply]) {
        let space = databaseSpace
        reply.array(arguments.count - 1)
        var index = 0
        readMany(1..<arguments.count, among: own, in: space) { connection, lease in
            index += 1
            if let lease {
                if !connection.send(lease, from: space) { connection.reply.null() }
            } else {
                connection.pass(on: gathered[index] ?? .null)
            }
        }
    }

    /// MSET: one after the other, each value on its node.
    private func relayPairs(_ cluster: Cluster) -> Bool {
        guard !arguments.count.isMultiple(of: 2) else { return false }
        let keyIndices = Array(stride(from: 1, to: arguments.count, by: 2))
        guard let (parts, own) = parts(of: keyIndices, cluster) else { return false }
        // The values of this node's own keys go by way of its own SETs, in the same order as the others'.
        let remote = parts.map { ($0.0, $0.1.flatMap { [$0, $0 + 1] }) }
        setPairs(remote, own, cluster)
        return true
    }

    private func setPairs(_ parts: [(PeerHandle, [Int])], _ own: [Int], _ cluster: Cluster) {
        guard let (node, indices) = parts.first else { return gather(own[...], []) }
        relay([0] + indices, to: node, cluster) { connection, result in
            switch result {
            case .failure(let error): connection.fail("TRYAGAIN \(error.message)")
            case .success(.failure(let failure)): connection.fail(failure.text)
            case .success: connection.setPairs(Array(parts.dropFirst()), own, cluster)
            }
        }
    }

    /// Sorts keys by the nodes that keep them; `nil` when all are this node's, or one of them is no key.
    private func parts(of indices: [Int], _ cluster: Cluster) -> (others: [(PeerHandle, [Int])], own: [Int])?
    {
        var own: [Int] = []
        var parts: [(node: PeerHandle, indices: [Int])] = []
        for index in indices {
            guard arguments.isKey(at: index) else { return nil }
            switch cluster.place(ofPlain: arguments.key(at: index)) {
            case .here: own.append(index)
            case .there(let node):
                if let place = parts.firstIndex(where: { $0.node.name == node.name }) {
                    parts[place].indices.append(index)
                } else {
                    parts.append((node, [index]))
                }
            }
        }
        return parts.isEmpty ? nil : (parts.map { ($0.node, $0.indices) }, own)
    }
}
