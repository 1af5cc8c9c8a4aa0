internal import Blocks
internal import Foundation
internal import GRPCCore
internal import MemoryTier
internal import Synchronization
internal import Tiering

extension StoreBackend {
    package func beginPut(_ put: BlockPut) async throws -> any BlockIntake {
        let space = try self.space(put.space)
        let end = ContinuousClock.now + spaceTimeout
        while true {
            do throws(CacheError) {
                // Bytes are bytes: the view is only called unsafe for element types with invalid patterns.
                let reservation = unsafe try store.reserve(
                    space,
                    key: put.key.span.bytes,
                    payloadByteCount: put.payloadByteCount
                )
                return StoreIntake(put, reservation, space, store, options: options(put))
            } catch {
                let isWorthWaiting = error.code == .overloaded || error.code == .memoryExhausted
                guard isWorthWaiting, ContinuousClock.now < end else {
                    store.countRefusal(error)
                    throw ControlError(error)
                }
            }
            try await StoreReply<Void>.wait { resume in store.whenSpaceFrees { resume(()) } }
        }
    }

    package func get(_ space: SpaceName, key: [UInt8]) async throws -> (any BlockReading)? {
        let space = try self.space(space)
        var keys = KeyBatch()
        // Bytes are bytes, as above.
        unsafe keys.append(key.span.bytes)
        let tier = store.summary(space, key: keys[0])?.tier
        let start = ContinuousClock.now
        let leases = try await StoreReply.wait { [keys] in
            store.load(space, keys: keys, provesChecksum: false, $0)
        }
        guard let lease = leases.first ?? nil else { return nil }
        if let tier {
            unsafe loadRates.measured(lease.payload.count, in: tier, taking: ContinuousClock.now - start)
        }
        return StoreReading(lease: lease, space: space, store: store)
    }

    private func options(_ put: BlockPut) -> PutOptions {
        var options = PutOptions()
        options.tokenCount = put.tokenCount
        options.timeToLive = put.timeToLive
        options.isDurable = put.isDurable
        options.predecessor = put.predecessor
        if put.isPinned { options.pinnedUntil = put.timeToLive.map { pinEnd(after: $0) } ?? .max }
        return options
    }
}

/// A block that is being received into its place in the store's memory.
private final class StoreIntake: BlockIntake {
    private struct State {
        /// `nil` once it is committed.
        var reservation: Reservation?
        var filledByteCount = 0
    }

    private let state: Mutex<State>
    private let space: KeySpace
    private let store: BlockStore
    private let options: PutOptions
    private let payloadByteCount: Int

    init(
        _ put: BlockPut,
        _ reservation: Reservation,
        _ space: KeySpace,
        _ store: BlockStore,
        options: PutOptions
    ) {
        state = Mutex(State(reservation: reservation))
        payloadByteCount = put.payloadByteCount
        self.space = space
        self.store = store
        self.options = options
    }

    func append(_ bytes: Data) throws(ControlError) {
        let isTaken = state.withLock { state in
            guard let reservation = state.reservation,
                bytes.count <= payloadByteCount - state.filledByteCount
            else { return false }
            // SAFETY: the range was just checked to lie inside the place, which the reservation alone may write.
            unsafe UnsafeMutableRawBufferPointer(
                rebasing: reservation.payload[state.filledByteCount..<state.filledByteCount + bytes.count]
            )
            .copyBytes(from: bytes)
            state.filledByteCount += bytes.count
            return true
        }
        guard isTaken else { throw ControlError(.invalidArgument, "more bytes than were announced") }
    }

    func commit(checksum: UInt64) async throws -> Bool {
        let reservation = state.withLock { state in
            defer { state.reservation = nil }
            return state.filledByteCount == payloadByteCount ? state.reservation : nil
        }
        guard let reservation else { throw ControlError(.invalidArgument, "the block is not whole") }
        let result = store.commit(reservation, in: space, options, payloadChecksum: checksum)
        if let ticket = result.durability {
            let failure = try await StoreReply.wait { store.whenDurable(ticket, $0) }
            if let failure { throw ControlError(failure) }
        }
        switch result.outcome {
        case .stored: return true
        case .exists: return false
        case .conflict:
            throw ControlError(.alreadyExists, "other bytes are held under this key; blocks are immutable")
        case .deleted: throw ControlError(.aborted, "the block was deleted while it was stored: put it again")
        case .refused(let error): throw ControlError(error)
        }
    }
}

/// A block of the store's memory, kept readable.
private struct StoreReading: BlockReading {
    let lease: BlockLease
    let space: KeySpace
    let store: BlockStore

    var payloadByteCount: Int { unsafe lease.payload.count }
    var checksum: UInt64 { lease.payloadChecksum }
    var tokenCount: UInt32 { lease.attributes.tokenCount }

    func piece(_ range: Range<Int>) async throws -> Data {
        guard range.lowerBound >= 0, range.upperBound <= payloadByteCount else {
            throw ControlError(.internalError, "a piece beyond the payload was asked for")
        }
        // SAFETY: the range lies inside the payload, which the lease keeps in place while it is copied.
        return unsafe Data(UnsafeRawBufferPointer(rebasing: lease.payload[range]))
    }

    func foundCorrupt() async {
        store.foundCorrupt(lease, in: space)
    }
}
