internal import Blocks
internal import Eviction
internal import Synchronization

/// One question about a chain, while its blocks are touched and put.
struct ChainRequest {
    /// Its number; wraps.
    let number: UInt32
    /// Blocks of the chain.
    let blockCount: Int

    /// The place of one of its blocks.
    func place(at position: Int) -> ChainPlace {
        ChainPlace(
            request: number,
            position: UInt32(truncatingIfNeeded: position),
            requestBlockCount: UInt32(truncatingIfNeeded: blockCount)
        )
    }
}

/// Where blocks stood in the last questions about their chains, for the puts and promotions that follow.
///
/// A fixed table of 1 MiB: a place is taken once, and lost when another block needs its entry. What is lost costs
/// nothing but a worse guess of the eviction policy. Thread-safe; the lock is held for a few hundred entries at most.
final class ChainPlaces: Sendable {
    private struct Entry {
        /// Bits of the identity; 0 is an empty entry.
        var tag: UInt32 = 0
        var place = ChainPlace(request: 0, position: 0, requestBlockCount: 0)
    }

    /// Blocks of one request that are remembered.
    static let requestBlockCountMax = 4_096
    /// Entries, a power of two: the missing blocks of hundreds of requests under way.
    static let entryCount = 65_536
    private static let lockedEntryCountMax = 256

    private let entries = Mutex([Entry](repeating: Entry(), count: entryCount))
    private let requestNumber = Atomic<UInt32>(0)

    /// Numbers a question about `blockCount` blocks.
    func nextRequest(blockCount: Int) -> ChainRequest {
        let number = requestNumber.wrappingAdd(1, ordering: .relaxed).newValue
        return ChainRequest(number: number, blockCount: blockCount)
    }

    /// Remembers places, each until it is taken or overwritten.
    func remember(_ places: [(identity: BlockIdentity, place: ChainPlace)]) {
        for start in stride(from: 0, to: places.count, by: Self.lockedEntryCountMax) {
            let end = min(start + Self.lockedEntryCountMax, places.count)
            entries.withLock { entries in
                for index in start..<end {
                    let (identity, place) = places[index]
                    entries[Self.index(identity)] = Entry(tag: Self.tag(identity), place: place)
                }
            }
        }
    }

    /// The block's place, forgotten with that.
    func take(_ identity: BlockIdentity) -> ChainPlace? {
        entries.withLock { entries in
            let index = Self.index(identity)
            guard entries[index].tag == Self.tag(identity) else { return nil }
            entries[index].tag = 0
            return entries[index].place
        }
    }

    private static func index(_ identity: BlockIdentity) -> Int {
        Int(truncatingIfNeeded: identity.bits) & (entryCount - 1)
    }

    private static func tag(_ identity: BlockIdentity) -> UInt32 {
        UInt32(truncatingIfNeeded: identity.bits >> 32) | 1
    }
}
