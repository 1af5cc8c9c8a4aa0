import Blocks

/// One shard of the index: an open-addressing table of 4-byte slots over densely packed entries.
///
/// Entries lie in chunks, so that growth copies nothing but slots; a removed entry's place is taken by the
/// last one.
struct IndexShard {
    /// Most entries of a shard: what a slot can number.
    static let countMax = 1 << numberBits - 2
    private static let numberBits = 20
    private static let chunkCapacity = 256

    private var chunks: [[IndexEntry]] = []
    /// Entry number + 1 in the low 20 bits, 12 bits of the digest above them, so that a probe seldom has to
    /// look at an entry that is not sought; 0 is empty.
    ///
    /// The count is a power of two, at most three quarters full.
    private var slots: [UInt32] = []
    private(set) var count = 0
    private(set) var payloadByteCount = 0
    private(set) var storedByteCount = 0
    /// Entries whose pin is not 0, whether it is over or not.
    private(set) var everPinnedCount = 0
    /// Bytes of memory that chunks and slots take.
    var byteCount: Int {
        chunks.count * Self.chunkCapacity * MemoryLayout<IndexEntry>.stride
            + slots.count * MemoryLayout<UInt32>.stride
    }
    /// Holds by leases; of blocks that are here or were.
    var holds: [BlockIdentity: UInt32] = [:]

    /// The entry of `identity`.
    func entry(_ identity: BlockIdentity) -> IndexEntry? {
        slot(of: identity).map { self[number(in: slots[$0])] }
    }

    /// Entry by number, `0..<count`.
    subscript(number: Int) -> IndexEntry {
        chunks[number / Self.chunkCapacity][number % Self.chunkCapacity]
    }

    /// Adds or replaces; what is there and newer stays, when `keepsNewer` says so.
    ///
    /// Gives what is not there then.
    mutating func insert(_ entry: IndexEntry, keepsNewer: Bool = false) -> IndexEntry? {
        if let slot = slot(of: entry.identity) {
            let number = number(in: slots[slot])
            let old = self[number]
            if keepsNewer, old.location > entry.location { return entry }
            discount(old)
            self.count(entry)
            chunks[number / Self.chunkCapacity][number % Self.chunkCapacity] = entry
            return old
        }
        if (count + 1) * 4 > slots.count * 3 { grow() }
        if count == chunks.count * Self.chunkCapacity {
            var chunk: [IndexEntry] = []
            chunk.reserveCapacity(Self.chunkCapacity)
            chunks.append(chunk)
        }
        chunks[count / Self.chunkCapacity].append(entry)
        count += 1
        place(number: count - 1, identity: entry.identity)
        self.count(entry)
        return nil
    }

    /// Removes the entry of `identity`, if `condition` holds for it.
    ///
    /// Gives it.
    mutating func remove(_ identity: BlockIdentity, where condition: (IndexEntry) -> Bool) -> IndexEntry? {
        guard let slot = slot(of: identity) else { return nil }
        let number = number(in: slots[slot])
        let entry = self[number]
        guard condition(entry) else { return nil }
        empty(slot)
        discount(entry)
        count -= 1
        if number != count {
            let last = self[count]
            chunks[number / Self.chunkCapacity][number % Self.chunkCapacity] = last
            if let moved = self.slot(of: last.identity, numbered: count) {
                slots[moved] = Self.slot(number: number, identity: last.identity)
            }
        }
        chunks[count / Self.chunkCapacity].removeLast()
        // One empty chunk is kept, so that a count that swings does not allocate each time.
        if count.isMultiple(of: Self.chunkCapacity), chunks.count > count / Self.chunkCapacity + 1 {
            chunks.removeLast()
        }
        return entry
    }

    /// Changes the entry of `identity`.
    ///
    /// Gives it as it is then.
    mutating func update(_ identity: BlockIdentity, _ change: (inout IndexEntry) -> Void) -> IndexEntry? {
        guard let slot = slot(of: identity) else { return nil }
        let number = number(in: slots[slot])
        var entry = self[number]
        discount(entry)
        change(&entry)
        self.count(entry)
        chunks[number / Self.chunkCapacity][number % Self.chunkCapacity] = entry
        return entry
    }

    private mutating func count(_ entry: IndexEntry) {
        payloadByteCount += Int(entry.payloadByteCount)
        storedByteCount += Int(entry.storedByteCount)
        if entry.pinnedUntil != 0 { everPinnedCount += 1 }
    }

    private mutating func discount(_ entry: IndexEntry) {
        payloadByteCount -= Int(entry.payloadByteCount)
        storedByteCount -= Int(entry.storedByteCount)
        if entry.pinnedUntil != 0 { everPinnedCount -= 1 }
    }

    private func slot(of identity: BlockIdentity) -> Int? {
        slot(of: identity) { self[$0].identity == identity }
    }

    private func slot(of identity: BlockIdentity, numbered number: Int) -> Int? {
        slot(of: identity) { $0 == number }
    }

    private func slot(of identity: BlockIdentity, where isSought: (Int) -> Bool) -> Int? {
        guard !slots.isEmpty else { return nil }
        let tag = Self.tag(of: identity)
        let mask = slots.count - 1
        var slot = home(of: identity)
        while slots[slot] != 0 {
            if slots[slot] >> UInt32(Self.numberBits) == tag, isSought(number(in: slots[slot])) {
                return slot
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private func number(in slot: UInt32) -> Int { Int(slot & (1 << UInt32(Self.numberBits) - 1)) - 1 }

    private static func slot(number: Int, identity: BlockIdentity) -> UInt32 {
        tag(of: identity) << UInt32(numberBits) | UInt32(truncatingIfNeeded: number + 1)
    }

    private static func tag(of identity: BlockIdentity) -> UInt32 {
        UInt32(truncatingIfNeeded: identity.bits >> 40) & 0xFFF
    }

    // The low bits choose the slot, middle ones are its tag; the index chose the shard by the high ones.
    private func home(of identity: BlockIdentity) -> Int {
        Int(truncatingIfNeeded: identity.bits) & (slots.count - 1)
    }

    private mutating func place(number: Int, identity: BlockIdentity) {
        var slot = home(of: identity)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = Self.slot(number: number, identity: identity)
    }

    /// Empties a slot and moves later ones of the same run up, so that no run is broken.
    private mutating func empty(_ slot: Int) {
        let mask = slots.count - 1
        var hole = slot
        var next = (slot + 1) & mask
        while slots[next] != 0 {
            let home = home(of: self[number(in: slots[next])].identity)
            if (next - home) & mask >= (next - hole) & mask {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        slots[hole] = 0
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: max(64, slots.count * 2))
        for number in 0..<count { place(number: number, identity: self[number].identity) }
    }
}
