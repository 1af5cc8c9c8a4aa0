/// Follows some of all blocks, held or not, from use to use, and teaches a model what it sees.
///
/// Twelve bytes an entry. A cache of 64 blocks has all its blocks followed, one of 512 and more every eighth, with
/// two entries for a block of the cache; very large ones fewer, for 65,536 entries tell enough. Sets of four; the entry
/// that waits longest makes room.
struct ReuseSampler {
    private struct Entry {
        var tag: UInt32 = 0
        var time: UInt32 = 0
        var kind = UseKind(useCount: 0, pause: 0, place: nil)
        var isTaken = false
    }

    private static let entryCountMax = 65_536
    private static let entryCountMin = 2_048
    /// Entries looked at on each use, so that all are seen between two lessons at a small price.
    private static let stepCount = 2
    /// Uses from one lesson to the next, at least.
    private static let lessonTickCountMin: UInt32 = 2_048

    private var entries: [Entry]
    private var setCount: UInt64
    /// One block in `1 << sampleShift` is followed.
    private var sampleShift: UInt32 = 0
    private var blockCountMax = 64
    private var hand = 0
    private var lessonStart: UInt32 = 0

    /// Follows nothing yet; grows with the cache.
    init() {
        entries = [Entry](repeating: Entry(), count: Self.entryCountMin)
        setCount = UInt64(entries.count / 4)
    }

    /// Bytes of the entries.
    var byteCount: Int { entries.count * MemoryLayout<Entry>.stride }

    /// Notes a use, if the block is one of those that are followed, and moves on with the next lesson.
    mutating func used(
        _ identityBits: UInt64,
        _ kind: UseKind,
        now: UInt32,
        heldCount: Int,
        model: inout ReuseModel
    ) {
        if heldCount > blockCountMax { grow(now: now) }
        let tag = UInt32(truncatingIfNeeded: identityBits >> 24)
        if tag & ((1 << sampleShift) &- 1) == 0 { note(tag, kind, now: now, model: &model) }
        step(now: now, heldCount: heldCount, model: &model)
    }

    private mutating func note(_ tag: UInt32, _ kind: UseKind, now: UInt32, model: inout ReuseModel) {
        let place = place(for: tag, now: now)
        let entry = entries[place]
        if entry.isTaken {
            model.ended(after: entry.kind, age: now &- entry.time, isUse: entry.tag == tag)
        }
        entries[place] = Entry(tag: tag, time: now, kind: kind, isTaken: true)
    }

    /// The block's entry, else a free one, else that which waits longest.
    private func place(for tag: UInt32, now: UInt32) -> Int {
        let spread = UInt64(tag) &* 0x9e37_79b9_7f4a_7c15
        let first = Int(spread.multipliedFullWidth(by: setCount).high) * 4
        var best = first
        var longest: UInt32 = 0
        for index in first..<(first + 4) {
            let entry = entries[index]
            if entry.isTaken, entry.tag == tag { return index }
            let wait = entry.isTaken ? now &- entry.time : .max
            if wait > longest {
                longest = wait
                best = index
            }
        }
        return best
    }

    private mutating func step(now: UInt32, heldCount: Int, model: inout ReuseModel) {
        for _ in 0..<Self.stepCount {
            guard hand < entries.count else {
                guard now &- lessonStart >= Self.lessonTickCountMin else { return }
                model.learn(heldCount: heldCount)
                lessonStart = now
                hand = 0
                return
            }
            let entry = entries[hand]
            if entry.isTaken { model.waits(after: entry.kind, age: now &- entry.time) }
            hand += 1
        }
    }

    /// Makes room for a quarter more blocks; of small and of very large caches, follows half as many instead.
    private mutating func grow(now: UInt32) {
        if 4 * blockCountMax < Self.entryCountMin || entries.count >= Self.entryCountMax {
            blockCountMax *= 2
            sampleShift = min(sampleShift + 1, 31)
        } else {
            blockCountMax += blockCountMax / 4
        }
        let old = entries
        let entryCount = max(Self.entryCountMin, min(2 * blockCountMax, Self.entryCountMax)) / 4 * 4
        entries = [Entry](repeating: Entry(), count: entryCount)
        setCount = UInt64(entries.count / 4)
        hand = 0
        for entry in old where entry.isTaken && entry.tag & ((1 << sampleShift) &- 1) == 0 {
            entries[place(for: entry.tag, now: now)] = entry
        }
    }
}
