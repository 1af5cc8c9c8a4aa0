package import Blocks
internal import LarderClient
package import MemoryTier
internal import Placement
internal import RESP
internal import Synchronization
package import Tiering

extension Cluster: PeerTier {
    /// Most keys of one fetch, so that several connections share a large one.
    private static let fetchKeyCountMax = 16

    package func role(of key: RawSpan) -> PeerRole {
        let routing = routing
        let slot = Slot.of(key)
        let route = routing.route(slot)
        // What is put here meanwhile is its owner's when that is back.
        if route.isOwner, let absent = routing.absentOwner(of: slot) {
            absent.wasStoodInFor.store(true, ordering: .relaxed)
        }
        return PeerRole(isOwner: route.isOwner, mayBeElsewhere: !route.asked.isEmpty)
    }

    // MARK: Matching

    package func match(
        _ space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        _ completion: @escaping @Sendable (PeerMatch) -> Void
    ) {
        let routing = routing
        var parts: [ObjectIdentifier: (peer: Peer, indices: [Int])] = [:]
        for index in 0..<keys.count {
            for peer in routing.route(Slot.of(keys[index])).asked {
                parts[ObjectIdentifier(peer), default: (peer, [])].indices.append(index)
            }
        }
        guard !parts.isEmpty else {
            return completion(PeerMatch(isHeld: Array(repeating: false, count: keys.count)))
        }
        var options: [String] = []
        if let lease, lease > .zero { options += ["LEASE", String(lease.wholeMilliseconds)] }
        if prefetches { options.append("PREFETCH") }
        let gathering = MatchGathering(keyCount: keys.count, partCount: parts.count, completion)
        for (peer, indices) in parts.values {
            let request = PeerRequest.keys("KV.HELD", space, options, keys, indices)
            peer.link.ask(request, timeout: configuration.lookupTimeout) { [counters] result in
                guard case .success(let reply) = result,
                    let (lease, held) = Self.holding(reply, count: indices.count)
                else {
                    counters.matchFailures.add()
                    return gathering.arrived([], lease: nil)
                }
                gathering.arrived(
                    zip(indices, held).compactMap { $1 ? $0 : nil },
                    lease: lease.map { PeerLease(node: peer.name.description, id: $0) }
                )
            }
        }
    }

    /// Reads `[lease or nil, [tier, keys, tier, keys, ...]]`, tier 0 for none.
    static func holding(_ reply: Reply, count: Int) -> (lease: UInt64?, isHeld: [Bool])? {
        guard let parts = reply.elements, parts.count == 2, let runs = parts[1].pairs else { return nil }
        var isHeld: [Bool] = []
        isHeld.reserveCapacity(count)
        for run in runs {
            guard let tier = run.key.integer, let length = run.value.integer, length > 0,
                length <= Int64(count - isHeld.count)
            else { return nil }
            isHeld.append(contentsOf: repeatElement(tier != 0, count: Int(length)))
        }
        guard isHeld.count == count else { return nil }
        return (parts[0].integer.flatMap { UInt64(exactly: $0) }, isHeld)
    }

    package func release(_ leases: [PeerLease]) {
        let peers = state.withLock { $0.peers }
        for lease in leases {
            guard let peer = peers.first(where: { $0.key.description == lease.node })?.value else { continue }
            // Without an answer the lease ends by its time.
            peer.link.ask(
                PeerRequest.words(.default, ["KV.RELEASE", String(lease.id)]),
                timeout: configuration.lookupTimeout
            ) { _ in }
        }
    }

    // MARK: Fetching

    package func fetch(_ space: KeySpace, keys: KeyBatch, into receiver: any PeerReceiver) {
        let routing = routing
        let asked = (0..<keys.count).map { routing.route(Slot.of(keys[$0])).asked }
        fetch(
            Fetch(space: space, keys: keys, asked: asked, receiver: receiver),
            Array(0..<keys.count),
            attempt: 0
        )
    }

    private struct Fetch: Sendable {
        let space: KeySpace
        let keys: KeyBatch
        /// For each key the nodes to ask, one after the other.
        let asked: [[Peer]]
        let receiver: any PeerReceiver
    }

    private func fetch(_ fetch: Fetch, _ indices: [Int], attempt: Int) {
        var parts: [ObjectIdentifier: (peer: Peer, indices: [Int])] = [:]
        for index in indices {
            guard attempt < fetch.asked[index].count else {
                fetch.receiver.missed(index)
                continue
            }
            let peer = fetch.asked[index][attempt]
            parts[ObjectIdentifier(peer), default: (peer, [])].indices.append(index)
        }
        for (peer, wanted) in parts.values {
            for start in stride(from: 0, to: wanted.count, by: Self.fetchKeyCountMax) {
                let part = Array(wanted[start..<min(start + Self.fetchKeyCountMax, wanted.count)])
                ask(peer, fetch, part, attempt: attempt)
            }
        }
    }

    private func ask(_ peer: Peer, _ fetch: Fetch, _ indices: [Int], attempt: Int) {
        let receiver = FetchReceiver(fetch.receiver, indices: indices)
        let request = PeerRequest.keys("KV.FETCH", fetch.space, [], fetch.keys, indices)
        peer.link.submit(request, .payload, receiver: receiver, timeout: configuration.loadTimeout) {
            [self] result in
            if case .failure = result { counters.fetchFailures.add() }
            counters.fetchedBlocks.add(receiver.hasArrived.count { $0 })
            let missing = zip(indices, receiver.hasArrived).compactMap { $1 ? nil : $0 }
            if !missing.isEmpty { self.fetch(fetch, missing, attempt: attempt + 1) }
        }
    }

    // MARK: Giving

    package func give(
        _ lease: BlockLease,
        key: [UInt8],
        in space: KeySpace,
        _ wish: GiftWish,
        _ completion: @escaping @Sendable (GiftOutcome) -> Void
    ) {
        let route = unsafe routing.route(Slot.of(key.span.bytes))
        guard let owner = route.owner else { return completion(.own) }
        give(lease, key: key, in: space, to: owner, wish, completion)
    }

    /// Gives a block to a node, whoever owns it.
    func give(
        _ lease: BlockLease,
        key: [UInt8],
        in space: KeySpace,
        to peer: Peer,
        _ wish: GiftWish = GiftWish(),
        _ completion: @escaping @Sendable (GiftOutcome) -> Void
    ) {
        let attributes = lease.attributes
        let unixNow = clock.unixMilliseconds()
        guard !attributes.isExpired(at: unixNow) else { return completion(.taken) }
        var options = [
            "XXH3", String(Int(bitPattern: UInt(lease.payloadChecksum))), "CREATED",
            String(min(attributes.createdAt, UInt64(Int64.max))),
        ]
        if attributes.expiresAt != 0 { options += ["TTL", String(max(1, attributes.expiresAt - unixNow))] }
        if attributes.tokenCount > 0 { options += ["TOKENS", String(attributes.tokenCount)] }
        let pinnedUntil = max(attributes.pinnedUntil, wish.pinnedUntil)
        // A put pins for as long as the block lives; a shorter pin follows it.
        let isPinnedForLife = pinnedUntil > unixNow && (pinnedUntil == .max || attributes.expiresAt != 0)
        if isPinnedForLife { options.append("PIN") }
        if wish.isDurable { options.append("DURABLE") }
        var encoder = RequestEncoder()
        PeerRequest.begin(&encoder, for: space.tenant, argumentCount: 6 + options.count)
        encoder.append("KV.PUT")
        encoder.append(space.namespace.description)
        for option in options { encoder.append(option) }
        encoder.append("BLOCKS")
        encoder.append(1)
        encoder.append(key)
        // SAFETY: the completion below holds the lease, and is called only when the request is not read any more.
        unsafe encoder.append(payload: lease.payload)
        let timeout = wish.isDurable ? configuration.durableTimeout : configuration.storeTimeout
        peer.link.ask(encoder.finish(), .transfer, timeout: timeout) { [self] result in
            let outcome = withExtendedLifetime(lease) { Self.outcome(result) }
            if case .failed = outcome { counters.giftFailures.add() }
            guard outcome == .taken, pinnedUntil > unixNow, !isPinnedForLife else {
                return completion(outcome)
            }
            pin(key, in: space, at: peer, milliseconds: pinnedUntil - unixNow) { completion(outcome) }
        }
    }

    /// Pins a block at a node for a time; without an answer it is not pinned there, which a cache can bear.
    private func pin(
        _ key: [UInt8],
        in space: KeySpace,
        at peer: Peer,
        milliseconds: UInt64,
        _ completion: @escaping @Sendable () -> Void
    ) {
        let keys = KeyBatch(validated: [key])
        let request = PeerRequest.keys("KV.PIN", space, ["TTL", String(milliseconds)], keys, [0])
        peer.link.ask(request, timeout: configuration.storeTimeout) { _ in completion() }
    }

    private static func outcome(_ result: Result<Reply, LarderClientError>) -> GiftOutcome {
        switch result {
        case .failure(let error): return .failed(CacheError(.tierUnavailable, "\(error)"))
        case .success(let reply):
            guard let text = reply.elements?.first?.text else {
                return .failed(CacheError(.tierUnavailable, "the owner gave no answer for the block"))
            }
            if text == "stored" || text == "exists" { return .taken }
            if text.hasPrefix("refused conflict") { return .conflict }
            if text.hasPrefix("refused deleted") { return .deleted }
            return .failed(CacheError(.tierUnavailable, "the owner answered: \(text)"))
        }
    }
}

/// Collects what several nodes hold.
private final class MatchGathering: Sendable {
    private struct State {
        var match: PeerMatch
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable (PeerMatch) -> Void

    init(keyCount: Int, partCount: Int, _ completion: @escaping @Sendable (PeerMatch) -> Void) {
        let nothing = PeerMatch(isHeld: Array(repeating: false, count: keyCount))
        state = Mutex(State(match: nothing, missing: partCount))
        self.completion = completion
    }

    func arrived(_ held: [Int], lease: PeerLease?) {
        let whole: PeerMatch? = state.withLock { state in
            for index in held { state.match.isHeld[index] = true }
            if let lease { state.match.leases.append(lease) }
            state.missing -= 1
            return state.missing == 0 ? state.match : nil
        }
        if let whole { completion(whole) }
    }
}
