import Blocks
import MemoryTier
import Synchronization
import Testing

@testable import Tiering

@Suite("Blocks on their way to their owners")
struct HandoffTests {
    /// Other nodes that own everything, and take nothing until they are opened; then all at once, in the call itself.
    private final class Owners: PeerTier {
        private struct State {
            var isOpen = false
            var held: [@Sendable (GiftOutcome) -> Void] = []
            var wishes: [GiftWish] = []
            /// Fetches that wait for `arrive`.
            var fetches: [(receiver: any PeerReceiver, keyCount: Int)] = []
            var mayBeElsewhere = false
        }

        private let state = Mutex(State())

        var mayServeHeld: Bool { true }

        func role(of key: RawSpan) -> PeerRole {
            PeerRole(isOwner: false, mayBeElsewhere: state.withLock { $0.mayBeElsewhere })
        }

        /// What the owners were asked for, in order.
        var wishes: [GiftWish] { state.withLock { $0.wishes } }

        /// From now on blocks may be elsewhere, and fetches wait.
        func holdFetches() { state.withLock { $0.mayBeElsewhere = true } }

        /// Lets the fetches that wait arrive, of blocks made at `createdAt`; how many had a place to go to.
        func arrive(_ payload: [UInt8], createdAt: UInt64) -> Int {
            let fetches = state.withLock { state in
                defer { state.fetches = [] }
                return state.fetches
            }
            var count = 0
            for (receiver, keyCount) in fetches {
                for index in 0..<keyCount {
                    guard let region = unsafe receiver.region(at: index, byteCount: payload.count) else {
                        receiver.missed(index)
                        continue
                    }
                    unsafe region.copyBytes(from: payload)
                    count += 1
                    receiver.arrived(
                        index,
                        BlockSummary(
                            payloadByteCount: payload.count,
                            payloadChecksum: unsafe payload.withUnsafeBytes { unsafe PayloadChecksum.of($0) },
                            attributes: BlockAttributes(createdAt: createdAt)
                        )
                    )
                }
            }
            return count
        }

        func match(
            _ space: KeySpace,
            keys: KeyBatch,
            lease: Duration?,
            prefetches: Bool,
            _ completion: @escaping @Sendable (PeerMatch) -> Void
        ) {
            completion(PeerMatch(isHeld: Array(repeating: false, count: keys.count)))
        }

        func fetch(_ space: KeySpace, keys: KeyBatch, into receiver: any PeerReceiver) {
            let waits = state.withLock { state in
                if state.mayBeElsewhere { state.fetches.append((receiver, keys.count)) }
                return state.mayBeElsewhere
            }
            guard !waits else { return }
            for index in 0..<keys.count { receiver.missed(index) }
        }

        func give(
            _ lease: BlockLease,
            key: [UInt8],
            in space: KeySpace,
            _ wish: GiftWish,
            _ completion: @escaping @Sendable (GiftOutcome) -> Void
        ) {
            let isOpen = state.withLock { state in
                state.wishes.append(wish)
                if !state.isOpen { state.held.append(completion) }
                return state.isOpen
            }
            if isOpen { completion(.own) }
        }

        /// Answers the transfers that wait.
        func answer(_ outcome: GiftOutcome) {
            let held = state.withLock { state in
                defer { state.held = [] }
                return state.held
            }
            for completion in held { completion(outcome) }
        }

        func release(_ leases: [PeerLease]) {}

        /// From now on what is given is answered at once.
        func open() {
            let held = state.withLock { state in
                state.isOpen = true
                defer { state.held = [] }
                return state.held
            }
            for completion in held { completion(.own) }
        }
    }

    /// A store of a cluster whose blocks all belong elsewhere, and a namespace in it.
    private func store() throws -> (store: BlockStore, owners: Owners, space: KeySpace) {
        var configuration = StoreConfiguration()
        configuration.isClustered = true
        let store = try BlockStore(
            memory: MemoryTierConfiguration(byteCount: 64 << 20, blockCountMax: 40_000, prefaults: false),
            disk: nil,
            secret: .random(),
            directory: nil,
            configuration: configuration
        )
        let owners = Owners()
        store.join(owners)
        let description = try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8))
        return (store, owners, try store.space(tenant: .default, description: description))
    }

    private func put(
        _ store: BlockStore,
        _ space: KeySpace,
        _ key: String,
        _ options: PutOptions = PutOptions()
    )
        throws -> PutResult
    {
        let key = Array(key.utf8)
        let reservation = try unsafe store.reserve(space, key: key.span.bytes, payloadByteCount: 4)
        unsafe reservation.payload.copyBytes(from: [1, 2, 3, 4])
        return store.commit(reservation, in: space, options)
    }

    private func keys(_ names: String...) throws -> KeyBatch {
        KeyBatch(try names.map { try BlockKey(Array($0.utf8)) })
    }

    @Test("what is wished while a transfer is under way is asked for before who wished it is answered")
    func strongerWish() throws {
        let (store, owners, space) = try store()
        defer { store.close() }
        _ = try put(store, space, "k")
        var durable = PutOptions()
        durable.isDurable = true
        durable.pinnedUntil = .max
        let result = try put(store, space, "k", durable)
        #expect(result.outcome == .exists)
        let answers = Mutex<[CacheError?]>([])
        store.whenDurable(try #require(result.durability)) { error in answers.withLock { $0.append(error) } }
        #expect(owners.wishes == [GiftWish()])
        owners.answer(.taken)
        #expect(answers.withLock { $0.isEmpty }, "the plain transfer says nothing of durability")
        #expect(owners.wishes == [GiftWish(), GiftWish(isDurable: true, pinnedUntil: .max)])
        owners.answer(.taken)
        #expect(answers.withLock { $0 } == [nil])
        #expect(store.statistics().integer("handoff_queue_blocks") == 0)
    }

    @Test("a block that is deleted while it waits for its owner is not given to it")
    func cancelled() throws {
        let (store, owners, space) = try store()
        defer { store.close() }
        var options = PutOptions()
        options.waitsForOwner = true
        let answers = Mutex<[CacheError?]>([])
        var tickets: [DurabilityTicket] = []
        // As many as are given at a time, and one that waits.
        for index in 0...32 {
            tickets.append(try #require(try put(store, space, "k\(index)", options).durability))
        }
        store.whenDurable(tickets[32]) { error in answers.withLock { $0.append(error) } }
        #expect(owners.wishes.count == 32)
        #expect(store.delete(space, keys: try keys("k32", "k0")) == 2)
        #expect(answers.withLock { $0.map { $0?.code } } == [.conflict])
        owners.answer(.deleted)
        #expect(owners.wishes.count == 32)
        #expect(store.statistics().integer("handoff_queue_blocks") == 0)
        #expect(
            store.statistics().integer("memory_blocks") == 0,
            "what an owner refuses as deleted goes here too"
        )
    }

    @Test("a copy that arrives after its block was deleted is not kept, one that was put again is")
    func fetchedBesideDelete() throws {
        let (store, owners, space) = try store()
        defer { store.close() }
        owners.holdFetches()
        let made = SystemClock().unixMilliseconds()
        #expect(store.delete(space, keys: try keys("k")) == 0)
        let loaded = Mutex<[Bool]>([])
        func load() throws {
            store.load(space, keys: try keys("k")) { leases in loaded.withLock { $0.append(leases[0] != nil) }
            }
        }
        try load()
        #expect(owners.arrive([9], createdAt: made) == 1)
        #expect(loaded.withLock { $0 } == [false])
        #expect(store.statistics().integer("transfers_refused_deleted") == 1)
        try load()
        #expect(owners.arrive([9], createdAt: made + 60_000) == 1)
        #expect(loaded.withLock { $0 } == [false, true])
        // And what is put here after the deletion is newer than it, whatever the clock says.
        #expect(store.delete(space, keys: try keys("k")) == 1)
        #expect(try put(store, space, "k").outcome == .stored)
        var again = PutOptions()
        again.createdAt = made
        #expect(try put(store, space, "other", again).outcome == .stored)
        _ = store.clear(space)
        #expect(try put(store, space, "other", again).outcome == .deleted)
        #expect(try put(store, space, "other").outcome == .stored)
    }

    @Test("a long queue whose gifts all end at once is worked off without growing the stack")
    func manyAtOnce() throws {
        var configuration = StoreConfiguration()
        configuration.isClustered = true
        let store = try BlockStore(
            memory: MemoryTierConfiguration(byteCount: 64 << 20, blockCountMax: 40_000, prefaults: false),
            disk: nil,
            secret: .random(),
            directory: nil,
            configuration: configuration
        )
        defer { store.close() }
        let owners = Owners()
        store.join(owners)
        let description = try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8))
        let space = try store.space(tenant: .default, description: description)
        for index in 0..<30_000 {
            let key = Array("block-\(index)".utf8)
            let reservation = try unsafe store.reserve(space, key: key.span.bytes, payloadByteCount: 1)
            unsafe reservation.payload[0] = 1
            #expect(store.commit(reservation, in: space, PutOptions()).outcome == .stored)
        }
        #expect(store.statistics().integer("handoff_queue_blocks") == 30_000)
        owners.open()
        while store.statistics().integer("handoff_queue_blocks") > 0 { Doorbell().wait(milliseconds: 1) }
        #expect(store.statistics().integer("memory_blocks") == 30_000)
    }
}
