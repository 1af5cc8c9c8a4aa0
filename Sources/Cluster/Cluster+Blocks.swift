package import Blocks
internal import LarderClient
package import Placement
package import RESP
internal import Synchronization
package import Tiering

/// What is asked about blocks of the whole cluster: this node's part and the others' in one answer. Completions are
/// called once, on any thread.
extension Cluster {
    /// For each key whether something was done, and nodes that should have been asked and did not answer.
    package typealias Flags = (values: [Bool], silent: [NodeName])

    /// Deletes blocks, near copies included, everywhere.
    package func delete(
        _ space: KeySpace,
        _ keys: KeyBatch,
        _ completion: @escaping @Sendable (Flags) -> Void
    ) {
        // Here first, and in time: what a fetch or a transfer under way brings back later finds the tombstone.
        let time = store.deletionTime()
        let own = store.deleteEach(space, keys: keys, at: time)
        scatter("KV.DEL", space, ["AT", String(time)], keys, to: .everybody) { [self] answers in
            noteMissed(answers.silent)
            completion((Self.either(own, answers.replies), answers.silent))
        }
    }

    /// Pins blocks at the nodes that keep them, for milliseconds or until they are unpinned.
    package func pin(
        _ space: KeySpace,
        _ keys: KeyBatch,
        milliseconds: UInt64?,
        _ completion: @escaping @Sendable (Flags) -> Void
    ) {
        let until = milliseconds.map { clock.unixMilliseconds() &+ $0 } ?? .max
        let options = milliseconds.map { ["TTL", String($0)] } ?? []
        // A near copy is not pinned: it is its keepers that keep it.
        let own = store.pinKept(space, keys: keys, until: until) { isKeeper(of: $0) }
        scatter("KV.PIN", space, options, keys, to: .keepers) { answers in
            completion((Self.either(own, answers.replies), answers.silent))
        }
    }

    /// Ends pins, those of second copies too.
    package func unpin(
        _ space: KeySpace,
        _ keys: KeyBatch,
        _ completion: @escaping @Sendable (Flags) -> Void
    ) {
        let own = store.unpin(space, keys: keys)
        scatter("KV.UNPIN", space, [], keys, to: .everybody) { answers in
            completion((Self.either(own, answers.replies), answers.silent))
        }
    }

    /// Starts bringing blocks to memory at the nodes that keep them; how many reads that takes.
    package func prefetch(
        _ space: KeySpace,
        _ keys: KeyBatch,
        _ completion: @escaping @Sendable (Int) -> Void
    ) {
        let own = store.prefetch(space, keys: keys)
        scatter("KV.PREFETCH", space, [], keys, to: .keepers) { answers in
            completion(own + answers.replies.count { $0?.integer == 1 })
        }
    }

    /// Why each key is or is not held by the node that keeps it: a word and a sentence; `nil` where that does not answer.
    package func explain(
        _ space: KeySpace,
        _ keys: KeyBatch,
        _ completion: @escaping @Sendable ([String?]) -> Void
    ) {
        let own = (0..<keys.count).map { index -> String? in
            isKeeper(of: keys[index]) ? store.explain(space, key: keys[index]).line : nil
        }
        scatter("KV.EXPLAIN", space, [], keys, to: .keepers) { answers in
            completion(zip(own, answers.replies).map { $0 ?? $1?.text })
        }
    }

    /// Deletes every block of a space, everywhere; how many blocks and copies.
    package func clear(
        _ space: KeySpace,
        _ completion: @escaping @Sendable (_ count: Int, _ silent: [NodeName]) -> Void
    ) {
        let time = store.deletionTime()
        let own = store.clear(space, at: time)
        let words = ["KV.CLEAR", space.namespace.description, String(time)]
        broadcast(space.tenant, database: 0, words) { [self] replies, silent in
            noteMissed(silent)
            completion(replies.reduce(own) { $0 + Int(clamping: $1.integer ?? 0) }, silent)
        }
    }

    /// Which tier each node has each of some keys in, this node among them; nodes that do not answer are left out.
    package func holdings(
        _ space: KeySpace,
        _ keys: KeyBatch,
        _ completion: @escaping @Sendable ([NodeName: [Tier?]]) -> Void
    ) {
        let own = (0..<keys.count).map { store.summary(space, key: keys[$0])?.tier }
        let peers = routing.peers.compactMap(\.self).filter { !$0.isDown }
        let gathering = HoldingsGathering([self.own.name: own], partCount: peers.count, completion)
        for peer in peers {
            let request = PeerRequest.keys("KV.HELD", space, [], keys, Array(0..<keys.count))
            peer.link.ask(request, timeout: configuration.lookupTimeout) { result in
                guard case .success(let reply) = result, let tiers = Self.tiers(reply, count: keys.count)
                else {
                    return gathering.arrived(peer.name, nil)
                }
                gathering.arrived(peer.name, tiers)
            }
        }
    }

    private static func tiers(_ reply: Reply, count: Int) -> [Tier?]? {
        guard let parts = reply.elements, parts.count == 2, let runs = parts[1].pairs else { return nil }
        var tiers: [Tier?] = []
        for run in runs {
            guard let code = run.key.integer, let length = run.value.integer, length > 0,
                length <= Int64(count - tiers.count)
            else { return nil }
            let tier: Tier? = code == 0 ? nil : code == 1 ? .memory : .disk
            tiers.append(contentsOf: repeatElement(tier, count: Int(length)))
        }
        return tiers.count == count ? tiers : nil
    }

    /// Sends a request of this node's own to a node by its name.
    package func ask(
        _ name: NodeName,
        _ arguments: [String],
        _ completion: @escaping @Sendable (Result<Reply, CacheError>) -> Void
    ) {
        guard let peer = state.withLock({ $0.peers[name] }) else {
            return completion(.failure(CacheError(.invalidArgument, "no node \(name) is in the cluster")))
        }
        relay(
            PeerRequest.words(.default, arguments),
            to: PeerHandle(peer: peer),
            hasPayload: false,
            completion
        )
    }

    private static func either(_ own: [Bool], _ replies: [Reply?]) -> [Bool] {
        zip(own, replies).map { $0 || $1?.integer == 1 }
    }
}

extension Explanation {
    /// A word for programs and a sentence for people.
    package var line: String { "\(rawValue): \(sentence)" }
}

/// Collects what each node holds.
private final class HoldingsGathering: Sendable {
    private struct State {
        var holdings: [NodeName: [Tier?]]
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([NodeName: [Tier?]]) -> Void

    init(
        _ own: [NodeName: [Tier?]],
        partCount: Int,
        _ completion: @escaping @Sendable ([NodeName: [Tier?]]) -> Void
    ) {
        state = Mutex(State(holdings: own, missing: partCount))
        self.completion = completion
        if partCount == 0 { completion(own) }
    }

    func arrived(_ name: NodeName, _ tiers: [Tier?]?) {
        let whole: [NodeName: [Tier?]]? = state.withLock { state in
            if let tiers { state.holdings[name] = tiers }
            state.missing -= 1
            return state.missing == 0 ? state.holdings : nil
        }
        if let whole { completion(whole) }
    }
}
