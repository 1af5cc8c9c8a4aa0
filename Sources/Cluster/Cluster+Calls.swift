package import Blocks
internal import LarderClient
package import Placement
package import RESP
internal import Synchronization
package import Tiering

/// Another node, for who wants to ask it something.
package struct PeerHandle: Sendable {
    let peer: Peer
    /// Its name.
    package var name: NodeName { peer.name }
}

/// Where a plain key is kept, which only its owner may keep, since it can be replaced.
package enum KeyPlace: Sendable {
    /// On this node.
    case here
    /// On another.
    case there(PeerHandle)
}

extension Cluster {
    // MARK: Plain keys

    /// Where a plain key is kept: by the view alone. A node that does not answer keeps its keys, or what is set meanwhile
    /// elsewhere would be hidden when it is back.
    package func place(ofPlain key: RawSpan) -> KeyPlace {
        let routing = routing
        guard let place = routing.view.ownerPlace(of: Slot.of(key)), place != routing.ownPlace,
            let peer = routing.peers[place]
        else { return .here }
        return .there(PeerHandle(peer: peer))
    }

    /// All other nodes that can be reached, and the names of those that can not.
    package var others: (reachable: [PeerHandle], unreachable: [NodeName]) {
        let peers = routing.peers.compactMap(\.self)
        return (peers.filter { !$0.isDown }.map(PeerHandle.init), peers.filter(\.isDown).map(\.name))
    }

    /// Begins a request to another node for a client of `tenant`; `argumentCount` arguments are to follow.
    package func beginRequest(
        _ encoder: inout RequestEncoder,
        for tenant: Tenant,
        database: Int,
        argumentCount: Int
    ) {
        PeerRequest.begin(&encoder, for: tenant, database: database, argumentCount: argumentCount)
    }

    /// Sends a client's request to another node; the reply, an error reply of that node included, or why there is none.
    /// Memory that the request refers to must stay until then.
    package func relay(
        _ request: EncodedRequest,
        to node: PeerHandle,
        hasPayload: Bool,
        _ completion: @escaping @Sendable (Result<Reply, CacheError>) -> Void
    ) {
        counters.relayed.add()
        let timeout = hasPayload ? configuration.storeTimeout : configuration.loadTimeout
        node.peer.link.exchange(request, .payload, timeout: timeout) { [counters] result in
            if case .success(let reply) = result { return completion(.success(reply)) }
            counters.relayFailures.add()
            completion(
                .failure(CacheError(.tierUnavailable, "node \(node.name) of this cluster does not answer"))
            )
        }
    }

    // MARK: Blocks

    /// Which nodes a request about blocks goes to.
    package enum Audience: Sendable {
        /// The nodes that keep each block.
        case keepers
        /// Those, and the nodes that keep second copies.
        case keepersAndReplicas
        /// All nodes: each may have a near copy.
        case everybody
    }

    /// What other nodes answered to a request about blocks.
    package struct Answers: Sendable {
        /// For each key the answer: where there are several, that of the greatest number.
        package var replies: [Reply?]
        /// Nodes that should have answered and did not.
        package var silent: [NodeName]
    }

    /// Whether this node is one of those that keep a block.
    package func isKeeper(of key: RawSpan) -> Bool {
        let slot = Slot.of(key)
        let routing = routing
        return routing.route(slot).isOwner
            || routing.view.isChanging && routing.view.holderPlace(of: slot) == routing.ownPlace
    }

    /// Sends `VERB ns options KEYS n key ...` to other nodes, each the keys that concern it, and collects an answer for
    /// each key.
    package func scatter(
        _ verb: String,
        _ space: KeySpace,
        _ options: [String],
        _ keys: KeyBatch,
        to audience: Audience,
        _ completion: @escaping @Sendable (Answers) -> Void
    ) {
        let routing = routing
        var parts: [ObjectIdentifier: (peer: Peer, indices: [Int])] = [:]
        var silent: Set<NodeName> = []
        switch audience {
        case .keepers:
            for index in 0..<keys.count {
                for peer in routing.route(Slot.of(keys[index])).asked {
                    parts[ObjectIdentifier(peer), default: (peer, [])].indices.append(index)
                }
            }
        case .keepersAndReplicas:
            for index in 0..<keys.count {
                let slot = Slot.of(keys[index])
                var asked = routing.route(slot).asked
                if configuration.replicaCount > 1,
                    let replica = routing.view.ownerPlace(of: slot, rank: 1).flatMap({ routing.peers[$0] }),
                    !replica.isDown, !asked.contains(where: { $0 === replica })
                {
                    asked.append(replica)
                }
                for peer in asked { parts[ObjectIdentifier(peer), default: (peer, [])].indices.append(index) }
            }
        case .everybody:
            for peer in routing.peers.compactMap(\.self) {
                if peer.isDown {
                    silent.insert(peer.name)
                } else {
                    parts[ObjectIdentifier(peer)] = (peer, Array(0..<keys.count))
                }
            }
        }
        let answers = Answers(replies: Array(repeating: nil, count: keys.count), silent: Array(silent))
        guard !parts.isEmpty else { return completion(answers) }
        let gathering = AnswerGathering(answers, partCount: parts.count, completion)
        for (peer, indices) in parts.values {
            peer.link.ask(
                PeerRequest.keys(verb, space, options, keys, indices),
                timeout: configuration.loadTimeout
            ) { result in
                guard case .success(let reply) = result, let elements = reply.elements,
                    elements.count == indices.count
                else { return gathering.arrived([], silent: peer.name) }
                gathering.arrived(Array(zip(indices, elements)), silent: nil)
            }
        }
    }

    /// Sends a request to all other nodes and collects what they answer.
    package func broadcast(
        _ tenant: Tenant,
        database: Int,
        _ arguments: [String],
        _ completion: @escaping @Sendable (_ replies: [Reply], _ silent: [NodeName]) -> Void
    ) {
        let peers = routing.peers.compactMap(\.self)
        let answers = Answers(
            replies: Array(repeating: nil, count: peers.count),
            silent: peers.filter(\.isDown).map(\.name)
        )
        let reachable = peers.enumerated().filter { !$0.element.isDown }
        guard !reachable.isEmpty else { return completion([], answers.silent) }
        let gathering = AnswerGathering(answers, partCount: reachable.count) { answers in
            completion(answers.replies.compactMap(\.self), answers.silent)
        }
        for (index, peer) in reachable {
            var encoder = RequestEncoder()
            PeerRequest.begin(&encoder, for: tenant, database: database, argumentCount: arguments.count)
            for argument in arguments { encoder.append(argument) }
            peer.link.ask(encoder.finish(), timeout: configuration.storeTimeout) { result in
                if case .success(let reply) = result {
                    gathering.arrived([(index, reply)], silent: nil)
                } else {
                    gathering.arrived([], silent: peer.name)
                }
            }
        }
    }
}

/// Collects the answers of several nodes.
private final class AnswerGathering: Sendable {
    private struct State {
        var answers: Cluster.Answers
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable (Cluster.Answers) -> Void

    init(
        _ answers: Cluster.Answers,
        partCount: Int,
        _ completion: @escaping @Sendable (Cluster.Answers) -> Void
    ) {
        state = Mutex(State(answers: answers, missing: partCount))
        self.completion = completion
    }

    func arrived(_ replies: [(Int, Reply)], silent: NodeName?) {
        let whole: Cluster.Answers? = state.withLock { state in
            for (index, reply) in replies {
                let known = state.answers.replies[index]
                if known == nil || (reply.integer ?? 0) > (known?.integer ?? 0) {
                    state.answers.replies[index] = reply
                }
            }
            if let silent { state.answers.silent.append(silent) }
            state.missing -= 1
            return state.missing == 0 ? state.answers : nil
        }
        if let whole { completion(whole) }
    }
}
