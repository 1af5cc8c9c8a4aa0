internal import Blocks
internal import CPosix
internal import Synchronization

/// Changes of the disk tier that are not durable yet, in the memory file, so that they are made again after the process
/// was killed: a block whose deletion was answered does not come back.
///
/// A ring of places of 64 bytes: identity, bound, times, and a word that is written last and says what kind it is, the
/// number of the change, and 16 bits that prove all. Thread-safe. When the ring is full the next change is not noted,
/// and counted: then, as without a memory file, a kill may undo it.
@safe
package final class PendingChanges: @unchecked Sendable {
    // Sendable: the base address is constant, the places are written under the lock.

    private struct State {
        /// Number of the oldest change that is noted, and of the next.
        var oldest: UInt64
        var next: UInt64
        var lostCount = 0
    }

    static let placeByteCount = 64

    private let base: UnsafeMutableRawPointer
    private let placeCount: Int
    private let state: Mutex<State>
    /// Keeps the mapping.
    private let arena: Arena
    /// What the run before left, in order.
    package let found: [PendingChange]

    /// Takes up what is noted at `base`, in `arena`'s mapping.
    init(at base: UnsafeMutableRawPointer, placeCount: Int, in arena: Arena) {
        var numbered: [(number: UInt64, change: PendingChange)] = []
        for place in 0..<placeCount {
            let address = unsafe base + place * Self.placeByteCount
            guard let found = unsafe Self.decode(at: address) else { continue }
            guard Int(found.number % UInt64(placeCount)) == place else { continue }
            numbered.append(found)
        }
        numbered.sort { $0.number < $1.number }
        let next = (numbered.last?.number ?? 0) + 1
        // A damaged number far away from the others must not make the ring seem full for ever.
        let oldest = numbered.first { next - $0.number < UInt64(placeCount) }?.number ?? next
        unsafe self.base = unsafe base
        self.placeCount = placeCount
        self.arena = arena
        found = numbered.map(\.change)
        state = Mutex(State(oldest: oldest, next: next))
    }

    /// Changes that the ring had no place for.
    package var lostCount: Int { state.withLock { $0.lostCount } }

    /// Whether it is time to make the changes durable.
    package var isHalfFull: Bool {
        state.withLock { Int($0.next - $0.oldest) >= placeCount / 2 }
    }

    /// Notes a change that was made; before it is answered.
    package func note(_ change: PendingChange) {
        state.withLock { state in
            guard state.next - state.oldest < UInt64(placeCount) else {
                state.lostCount += 1
                return
            }
            encode(change, number: state.next)
            state.next += 1
        }
    }

    /// The number of the next change: what is made durable now includes all before it.
    package var mark: UInt64 { state.withLock { $0.next } }

    /// Forgets the changes before `mark`: they are durable.
    package func forget(before mark: UInt64) {
        state.withLock { state in
            while state.oldest < min(mark, state.next) {
                unsafe larder_store_release(address(of: state.oldest) + 56, 0)
                state.oldest += 1
            }
        }
    }

    private func address(of number: UInt64) -> UnsafeMutableRawPointer {
        unsafe base + Int(number % UInt64(placeCount)) * Self.placeByteCount
    }

    private func encode(_ change: PendingChange, number: UInt64) {
        let place = unsafe address(of: number)
        var words = [UInt64](repeating: 0, count: 7)
        let kind: UInt64
        switch change.kind {
        case .removal(let identity):
            kind = 1
            Self.write(identity, to: &words)
        case .clear(let prefix):
            kind = 2
            Self.write(BlockIdentity(prefix: prefix, digest: .zero), to: &words)
        case .times(let identity, let expiresAt, let pinnedUntil):
            kind = 3
            Self.write(identity, to: &words)
            words[5] = expiresAt
            words[6] = pinnedUntil
        }
        words[4] = change.bound
        let tag = kind << 62 | (number & (1 << 46 - 1)) << 16
        for (index, word) in words.enumerated() {
            unsafe larder_store_release(place + 8 * index, word)
        }
        unsafe larder_store_release(place + 56, tag | Self.check(words, tag))
    }

    private static func write(_ identity: BlockIdentity, to words: inout [UInt64]) {
        words[0] = identity.prefix.words.x
        words[1] = identity.prefix.words.y
        words[2] = identity.digest.x
        words[3] = identity.digest.y
    }

    private static func decode(
        at place: UnsafeMutableRawPointer
    ) -> (number: UInt64, change: PendingChange)? {
        let last = unsafe larder_load_acquire(place + 56)
        guard last != 0 else { return nil }
        let words = (0..<7).map { unsafe larder_load_acquire(place + 8 * $0) }
        let tag = last & ~0xFFFF
        guard last & 0xFFFF == check(words, tag) else { return nil }
        let prefix = KeyPrefix(words: SIMD2(words[0], words[1]))
        let identity = BlockIdentity(prefix: prefix, digest: SIMD2(words[2], words[3]))
        let kind: PendingChange.Kind
        switch tag >> 62 {
        case 1: kind = .removal(identity)
        case 2: kind = .clear(prefix)
        case 3: kind = .times(identity, expiresAt: words[5], pinnedUntil: words[6])
        default: return nil
        }
        return ((tag << 2) >> 18, PendingChange(kind, before: words[4]))
    }

    private static func check(_ words: [UInt64], _ tag: UInt64) -> UInt64 {
        let hash = unsafe words.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        let mixed = (hash ^ tag) &* 0x9e37_79b9_7f4a_7c15
        return mixed >> 48
    }
}
