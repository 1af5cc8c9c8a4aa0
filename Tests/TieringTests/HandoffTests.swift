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
        }

        private let state = Mutex(State())

        func role(of key: RawSpan) -> PeerRole { PeerRole(isOwner: false, mayBeElsewhere: false) }

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
                if !state.isOpen { state.held.append(completion) }
                return state.isOpen
            }
            if isOpen { completion(.own) }
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
