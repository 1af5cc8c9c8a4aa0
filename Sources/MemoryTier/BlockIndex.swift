/// Finds a block's place in its shard by 32 bits of its identity: open addressing, 8 bytes a place, at most 4/5 full.
///
/// Each place holds the bits and the entry's number, so that a probe meets another block's entry once in 2^32 and
/// the table grows without looking at entries.
struct BlockIndex {
    private var places: [UInt64]
    private var mask: Int
    private(set) var count = 0

    /// An empty index.
    init() {
        places = [UInt64](repeating: 0, count: 16)
        mask = 15
    }

    /// The first entry under `tag` that is the one meant.
    @inline(__always)
    func find(_ tag: UInt32, where isMeant: (Int) -> Bool) -> Int? {
        var position = Int(tag) & mask
        while true {
            let place = places[position]
            if place == 0 { return nil }
            if UInt32(truncatingIfNeeded: place >> 32) == tag {
                let entry = Int(UInt32(truncatingIfNeeded: place)) &- 1
                if isMeant(entry) { return entry }
            }
            position = (position &+ 1) & mask
        }
    }

    /// Adds an entry that is not there yet.
    mutating func insert(_ tag: UInt32, entry: Int) {
        if (count + 1) * 5 > places.count * 4 { grow() }
        place(UInt64(tag) << 32 | UInt64(UInt32(truncatingIfNeeded: entry + 1)))
        count += 1
    }

    /// Takes an entry out that is there; later places of its run move up, so no graves remain.
    mutating func remove(_ tag: UInt32, entry: Int) {
        let wanted = UInt64(tag) << 32 | UInt64(UInt32(truncatingIfNeeded: entry + 1))
        var hole = Int(tag) & mask
        while places[hole] != wanted {
            precondition(places[hole] != 0, "an indexed entry is in the index")
            hole = (hole + 1) & mask
        }
        var position = hole
        while true {
            position = (position + 1) & mask
            let moved = places[position]
            if moved == 0 { break }
            let home = Int(moved >> 32) & mask
            if (position - home) & mask >= (position - hole) & mask {
                places[hole] = moved
                hole = position
            }
        }
        places[hole] = 0
        count -= 1
    }

    private mutating func place(_ value: UInt64) {
        var position = Int(value >> 32) & mask
        while places[position] != 0 { position = (position + 1) & mask }
        places[position] = value
    }

    private mutating func grow() {
        let old = places
        places = [UInt64](repeating: 0, count: old.count * 2)
        mask = places.count - 1
        for value in old where value != 0 { place(value) }
    }
}
